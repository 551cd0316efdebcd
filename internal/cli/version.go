package cli

import (
	"fmt"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the linker: a tag, or what `git describe` says of a tree without one.
var version = ""

// base is the version that this tree is on the way to.
const base = "0.1.0-dev"

var semantic = regexp.MustCompile(`^v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

// Version is what `ftrun version` says and what required_version is held against. It is always a semantic version.
func Version() string { return versionOf(version) }

func versionOf(linked string) string {
	if semantic.MatchString(linked) {
		return strings.TrimPrefix(linked, "v")
	}
	if linked != "" && linked != "dev" {
		if v := base + "+" + linked; semantic.MatchString(v) { // a commit
			return v
		}
	}
	if info, ok := debug.ReadBuildInfo(); ok && semantic.MatchString(info.Main.Version) {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	return base
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say which ftrun this is",
		Example: "  ftrun version",
		Args:    arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.out, "ftrun %s (%s, %s/%s)\n", Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
