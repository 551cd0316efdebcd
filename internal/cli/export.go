package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

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
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			run, err := runlog.Open(a.store).Find(args[0])
			if err != nil {
				return err
			}
			st, _, err := run.Status()
			if err != nil {
				return err
			}
			if st.State != runlog.Finished {
				return fmt.Errorf("run %s is %s: only a finished run has weights to export", run.ID, st.State)
			}
			file, err := weights.Open(run.BestPath())
			if err != nil {
				return err
			}
			write := weights.WritePTH
			switch strings.ToLower(filepath.Ext(out)) {
			case ".pth", ".pt":
			case ".safetensors":
				write = func(w io.Writer, ts []weights.Tensor) error { return weights.WriteSafetensors(w, ts, file.Metadata) }
			default:
				return fmt.Errorf("%q ends in none of .safetensors, .pth and .pt, which tell the format", out)
			}
			if err := runlog.WriteFile(out, func(w io.Writer) error { return write(w, file.Tensors) }); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "wrote %s: %s, %s, classes %s\n", out, st.Arch, reports.Plural(len(file.Tensors), "tensor", "tensors"), strings.Join(st.Classes, ", "))
			return err
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "the file to write: .safetensors, .pth or .pt")
	if err := cmd.MarkFlagRequired("output"); err != nil {
		panic(err)
	}
	return cmd
}
