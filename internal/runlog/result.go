package runlog

// Params counts elements of a run's parameters.
type Params struct {
	Total     int64 `json:"total"`
	Trainable int64 `json:"trainable"`
}

// Epoch is what one epoch gave. Accuracies are shares of 1, losses are means over pictures. The training loss is the one
// that is minimised: with label smoothing, class weights and the loss of an auxiliary head; the validation loss is plain
// cross-entropy.
type Epoch struct {
	Epoch     int     `json:"epoch"` // from 1
	LR        float64 `json:"lr"`    // of the epoch's last step, for parameters that are in no param_group
	TrainLoss float64 `json:"train_loss"`
	TrainAcc  float64 `json:"train_acc"`
	ValLoss   float64 `json:"val_loss"`
	ValAcc    float64 `json:"val_acc"`
	ValTop5   float64 `json:"val_top5,omitempty"` // with more than five classes
	// Seconds of training and of validation, waiting for pictures included.
	TrainSeconds float64 `json:"train_seconds"`
	ValSeconds   float64 `json:"val_seconds"`
	// ImagesPerSecond is the speed of training.
	ImagesPerSecond float64 `json:"images_per_second"`
	// PerClass is the validation accuracy of each class; Confusion[i][j] counts pictures of class i taken for j. It is
	// left out above MaxConfusion classes, the predictions have it all.
	PerClass  []float64 `json:"val_per_class,omitempty"`
	Confusion [][]int   `json:"val_confusion,omitempty"`
}

// MaxConfusion is the number of classes up to which each epoch keeps its confusion matrix.
const MaxConfusion = 50

// Metrics are a run's figures: those of the best epoch without a prefix, those of the last with last_.
type Metrics struct {
	ValAcc      float64  `json:"val_acc"`
	ValLoss     float64  `json:"val_loss"`
	ValTop5     float64  `json:"val_top5,omitempty"`
	TrainAcc    float64  `json:"train_acc"`
	TrainLoss   float64  `json:"train_loss"`
	BestEpoch   int      `json:"best_epoch"`
	Epochs      int      `json:"epochs"` // trained
	LastValAcc  float64  `json:"last_val_acc"`
	LastValLoss float64  `json:"last_val_loss"`
	TestAcc     *float64 `json:"test_acc,omitempty"` // of the best, where there is a test split
	TestLoss    *float64 `json:"test_loss,omitempty"`
}

// MetricNames are the names that monitor and early_stop take, and whether more is better.
var MetricNames = map[string]bool{
	"val_acc": true, "val_loss": false, "val_top5": true, "train_acc": true, "train_loss": false,
}

// Value gives a metric of the epoch by one of MetricNames.
func (e Epoch) Value(name string) float64 {
	switch name {
	case "val_acc":
		return e.ValAcc
	case "val_loss":
		return e.ValLoss
	case "val_top5":
		return e.ValTop5
	case "train_acc":
		return e.TrainAcc
	case "train_loss":
		return e.TrainLoss
	}
	panic("runlog: no metric " + name)
}

// Timing is what a run cost.
type Timing struct {
	Seconds         float64 `json:"seconds"` // wall time of all its attempts
	TrainSeconds    float64 `json:"train_seconds"`
	ValSeconds      float64 `json:"val_seconds"`
	ImagesPerSecond float64 `json:"images_per_second"` // of training
	PeakMemory      int64   `json:"peak_memory_bytes,omitempty"`
}

// Result is what a finished run leaves.
type Result struct {
	Params  Params  `json:"params"`
	Metrics Metrics `json:"metrics"`
	Timing  Timing  `json:"timing"`
	Device  string  `json:"device"`
	Path    string  `json:"path"`
	Threads int     `json:"threads"` // of this run
	Version string  `json:"ftrun_version"`
}

// Prediction is the network's answer for one validation picture, by the best epoch's weights.
type Prediction struct {
	Path   string    `json:"path"`
	SHA256 string    `json:"sha256"` // of the picture's file
	Class  int       `json:"class"`  // true class
	Probs  []float32 `json:"probabilities"`
}

// Predicted is the class with the highest probability, the first of equals.
func (p Prediction) Predicted() int {
	best := 0
	for i, v := range p.Probs {
		if v > p.Probs[best] {
			best = i
		}
	}
	return best
}
