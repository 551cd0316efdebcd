package nn

import "testing"

func TestCount(t *testing.T) {
	net := describeTiny(t, 8)
	batch := make([]bool, len(net.Layers))
	batch[net.Modules["norm"]] = true
	total := int64(4*3*9 + 2*4 + 2*4 + 2 + 4*4*9 + 2*4 + 2)
	tests := []struct {
		name             string
		trainable, batch []bool
		want             Count
	}{
		{"evaluation", nil, nil, Count{Total: total}},
		{"everything", trained(net, "*"), batch, Count{total, total, 8}},
		{"heads", trained(net, "auxfc", "fc"), nil, Count{Total: total, Trainable: 20}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := net.Count(test.trainable, test.batch); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestWork(t *testing.T) {
	net := describeTiny(t, 8)
	const conv, conv2, fc = 64 * 4 * 3 * 9, 64 * 4 * 4 * 9, 8
	tests := []struct {
		name      string
		trainable []bool
		want      Work
	}{
		{"evaluation leaves the auxiliary head out", nil, Work{conv + conv2 + fc, 0}},
		{"nothing trained", trained(net), Work{conv + conv2 + 2*fc, 0}},
		{"everything: no gradient by the picture", trained(net, "*"), Work{conv + conv2 + 2*fc, conv + 2*conv2 + 4*fc}},
		{"heads", trained(net, "auxfc", "fc"), Work{conv + conv2 + 2*fc, 2 * fc}},
		{"from the second convolution on", trained(net, "conv2", "fc"), Work{conv + conv2 + 2*fc, conv2 + 2*fc}},
		{"a batch norm before frozen layers", trained(net, "norm"), Work{conv + conv2 + 2*fc, conv2 + 2*fc}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := net.Work(test.trainable); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
