package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ftrun/ftrun/reports"
	"github.com/ftrun/ftrun/spec"
)

// group makes a command that only holds others: alone it prints its help, with an unknown name the nearest one.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		return cmd.Help()
	}
	return cmd
}

func unknownCommand(cmd *cobra.Command, name string) error {
	var known []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			known = append(known, c.Name())
		}
	}
	if near := spec.Nearest(name, known); near != "" {
		return fmt.Errorf("there is no command %q of %s; did you mean %q?", name, cmd.CommandPath(), near)
	}
	return fmt.Errorf("there is no command %q of %s: `%s -help` lists them", name, cmd.CommandPath(), cmd.CommandPath())
}

// arguments wants so many arguments; most < 0 is any number.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		n := len(args)
		if n >= least && (most < 0 || n <= most) {
			return nil
		}
		_, wanted, _ := strings.Cut(cmd.Use, " ")
		switch {
		case most == 0:
			return fmt.Errorf("%s takes no argument, got %q", cmd.CommandPath(), args[0])
		case n < least:
			return fmt.Errorf("%s wants %s: see `%s -help`", cmd.CommandPath(), wanted, cmd.CommandPath())
		}
		return fmt.Errorf("%s wants %s, got %d arguments (%s): see `%s -help`", cmd.CommandPath(), wanted, n, strings.Join(args, " "), cmd.CommandPath())
	}
}

// flagError says what is wrong with a flag as the user wrote it, with one dash.
func (a *app) flagError(cmd *cobra.Command, err error) error {
	// A slip in the command's name makes the root read the flags that were meant for the command.
	if !cmd.HasParent() {
		for _, arg := range a.args {
			if !strings.HasPrefix(arg, "-") {
				return unknownCommand(cmd, arg)
			}
		}
	}
	var unknown *pflag.NotExistError
	var lacks *pflag.ValueRequiredError
	var bad *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if near := spec.Nearest(name, known); near != "" {
			return fmt.Errorf("%s has no flag -%s; did you mean -%s?", cmd.CommandPath(), name, near)
		}
		return fmt.Errorf("%s has no flag -%s: `%s -help` lists them", cmd.CommandPath(), name, cmd.CommandPath())
	case errors.As(err, &lacks):
		return fmt.Errorf("-%s wants a value", lacks.GetFlag().Name)
	case errors.As(err, &bad):
		wants := map[string]string{"int": "a whole number", "bool": "true or false", "duration": "a time such as 10m"}[bad.GetFlag().Value.Type()]
		if wants == "" {
			return fmt.Errorf("-%s: %w", bad.GetFlag().Name, err)
		}
		return fmt.Errorf("-%s wants %s, not %q", bad.GetFlag().Name, wants, bad.GetValue())
	}
	return err
}

// addHelp gives every command its help, and root the commands help and completion.
func (a *app) addHelp(root *cobra.Command) {
	root.SetFlagErrorFunc(a.flagError)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		if names := cmd.Flags().Args(); cmd.HasAvailableSubCommands() && len(names) > 0 {
			a.misused = unknownCommand(cmd, names[0])
			return
		}
		fmt.Fprint(a.out, helpText(cmd, min(a.out.width(), 100)))
	})
	root.SetHelpCommand(&cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Say how a command is used",
		Example: "  ftrun help plan",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				if err != nil {
					cmd, rest = root, args
				}
				return unknownCommand(cmd, rest[0])
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	})
	root.InitDefaultCompletionCmd("completion")
	completion, _, err := root.Find([]string{"completion"})
	if err != nil {
		panic(err)
	}
	completion.Short = "Print a script that completes ftrun's commands in a shell"
	completion.Example = "  source <(ftrun completion bash)"
	for _, c := range completion.Commands() {
		c.Args = arguments(0, 0)
		c.Example = "  ftrun completion " + c.Name()
	}
	group(completion)
}

// helpText is all that is to be known of a command, for so many columns.
func helpText(cmd *cobra.Command, width int) string {
	var b strings.Builder
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	b.WriteString(reports.Wrap(strings.TrimSpace(long), 0, width))
	usage := strings.TrimSuffix(cmd.UseLine(), " [flags]")
	if cmd.HasAvailableSubCommands() {
		usage += " COMMAND"
	}
	fmt.Fprintf(&b, "\n\nUsage:\n  %s\n", usage)
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		widest := 0
		for _, c := range cmd.Commands() {
			widest = max(widest, len(c.Name()))
		}
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() || c.Name() == "help" {
				fmt.Fprintf(&b, "  %-*s  %s\n", widest, c.Name(), c.Short)
			}
		}
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	writeFlags(&b, "Flags", cmd.LocalNonPersistentFlags(), width)
	everywhere := pflag.NewFlagSet("", pflag.ContinueOnError)
	everywhere.AddFlagSet(cmd.InheritedFlags())
	everywhere.AddFlagSet(cmd.PersistentFlags())
	writeFlags(&b, "Flags of every command", everywhere, width)
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n`%s COMMAND -help` says more of a command.\n", cmd.CommandPath())
	}
	return b.String()
}

func writeFlags(b *strings.Builder, title string, flags *pflag.FlagSet, width int) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	const column = 22
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "-" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value == "int" {
			value = "N"
		}
		if value != "" {
			name += " " + value
		}
		if f.Name == "help" {
			usage = "this text"
		}
		if d := f.DefValue; d != "" && d != "false" && d != "[]" && d != "0" {
			usage += " (default " + d + ")"
		}
		if len(name)+4 > column {
			fmt.Fprintf(b, "  %s\n%s", name, strings.Repeat(" ", column))
		} else {
			fmt.Fprintf(b, "  %-*s", column-2, name)
		}
		b.WriteString(reports.Wrap(usage, column, width))
		b.WriteByte('\n')
	})
}
