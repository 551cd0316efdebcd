package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/executor"
	"github.com/ftrun/ftrun/internal/durable"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/weights"
	"github.com/ftrun/ftrun/reports"
)

func (a *app) exportCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "export RUN -o FILE",
		Short: "Write a run's weights for PyTorch or as safetensors",
		Long: `export writes the weights of a run's best epoch to a file: .safetensors, or a .pth that PyTorch loads strictly into
torchvision's model of that name with the last layer reshaped:

  model = torchvision.models.resnet18(num_classes=2)
  model.load_state_dict(torch.load("model.pth", weights_only=True))`,
		Example: "  ftrun export 3f2a -o model.pth",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ext := strings.ToLower(filepath.Ext(out))
			switch {
			case out == "":
				return errors.New("export wants the file to write: add -o FILE")
			case ext != ".pth" && ext != ".pt" && ext != ".safetensors":
				return fmt.Errorf("%q ends in none of .safetensors, .pth and .pt, which tell the format", out)
			}
			store, err := a.runs()
			if err != nil {
				return err
			}
			run, st, err := a.finishedRun(store, args[0])
			if err != nil {
				return err
			}
			file, err := executor.OpenWeights(run.BestPath(), func(sha256 string) error { return run.CheckBest(st, sha256) })
			if err != nil {
				return a.mend(err)
			}
			write := weights.WritePTH
			if ext == ".safetensors" {
				write = func(w io.Writer, ts []weights.Tensor) error { return weights.WriteSafetensors(w, ts, file.Metadata) }
			}
			if err := durable.WriteFile(out, func(w io.Writer) error { return write(w, file.Tensors) }); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "wrote %s: %s, %s, classes %s\n", out, st.Arch, reports.Plural(len(file.Tensors), "tensor", "tensors"), strings.Join(st.Classes, ", "))
			return err
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write `FILE`: .safetensors, .pth or .pt")
	return cmd
}

// finishedRun finds a run of the store that has weights to use.
func (a *app) finishedRun(store *runlog.Store, prefix string) (*runlog.Run, runlog.Status, error) {
	run, err := store.Find(prefix)
	if err != nil {
		return nil, runlog.Status{}, err
	}
	st, ok, err := run.Status()
	if err != nil {
		return nil, st, a.mend(err)
	}
	if !ok {
		st.State = runlog.Pending
	}
	if st.State != runlog.Finished {
		return nil, st, fmt.Errorf("run %s is %s: only a finished run has weights to use", run.ID, st.State)
	}
	return run, st, nil
}
