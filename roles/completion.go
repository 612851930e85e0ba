package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dpfpl/mathx/dp"
)

// choices are the values of flags that take one of a few, for the shell to complete.
var choices = map[string][]string{
	"log-format": {"console", "json"},
	"log-level":  {"debug", "info", "warn", "error"},
	"adjacency":  {dp.ZeroOut.String(), dp.AddRemove.String(), dp.ReplaceOne.String()},
	"sampler":    {dp.Poisson.String(), dp.FixedSize.String(), dp.Epochs.String()},
	"rule":       {"sync", "fedbuff", "fedasync", "trimmed", "median"},
	"part":       {"train", "val", "test"},
	"format":     {"text", "csv", "jsonl"},
	"start":      {"words", "random"},
}

// completeFlags tells the shell what flags of c and of the commands below it may hold: one of a few values, or a folder.
func completeFlags(c *cobra.Command) {
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if values, ok := choices[f.Name]; ok {
			c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) //nolint:errcheck // fails for a flag that is not there
		} else if strings.Contains(f.Usage, "`folder`") {
			c.MarkFlagDirname(f.Name) //nolint:errcheck // likewise
		}
	})
	for _, child := range c.Commands() {
		completeFlags(child)
	}
}
