// Command ftrun plans and carries out training experiments on image classifiers.
package main

import (
	"os"

	"github.com/ftrun/ftrun/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
