package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dpfpl/roles/flagerror"
	"dpfpl/roles/planfile"
)

// configFlag names a YAML file of flags.
const configFlag = "config"

// variable is the environment variable that stands in for a flag: DPFPL_MAX_EPSILON for --max-epsilon.
func variable(flag string) string {
	return "DPFPL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// instead names the flags whose variables, and entries in the file of --config, do not count for a command that
// was given another flag in their place: a run in a file is on no server, and who names the signer needs no operator for it.
var instead = map[string][]string{"log": {"nats", "nats-context", "run"}, "signer": {"operator"}, "operator": {"signer"}}

// fillFlags sets every flag that was not given from its variable or, without one, from the file of --config.
// Errors: inputError, naming the variable or the file.
func fillFlags(c *cobra.Command, _ []string) error {
	var errs []error
	var replaced []string
	c.Flags().Visit(func(f *pflag.Flag) { replaced = append(replaced, instead[f.Name]...) })
	set := func(f *pflag.Flag, text, where string) {
		if slices.Contains(replaced, f.Name) {
			return
		}
		if err := c.Flags().Set(f.Name, text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", where, flagerror.Plain(err)))
		}
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if text, ok := os.LookupEnv(variable(f.Name)); ok && !f.Changed && f.Name != "help" {
			set(f, text, variable(f.Name))
		}
	})
	path, err := c.Flags().GetString(configFlag)
	if err != nil || path == "" {
		return input(errors.Join(append(errs, err)...))
	}
	values, err := readConfig(c.Root(), path)
	if err != nil {
		return input(errors.Join(append(errs, err)...))
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if text, ok := values[f.Name]; ok && !f.Changed {
			set(f, text, path+": "+f.Name)
		}
	})
	return input(errors.Join(errs...))
}

// readConfig reads a file of flags; errors name it.
func readConfig(root *cobra.Command, path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", configFlag, err)
	}
	values, err := parseConfig(root, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return values, nil
}

// parseConfig reads flags, name: value. One file may serve several commands, so it may name the flags of all of
// them, and no others.
func parseConfig(root *cobra.Command, b []byte) (map[string]string, error) {
	var raw map[string]any
	if err := planfile.Decode(b, &raw); err != nil {
		return nil, err
	}
	known := allFlags(root)
	values := map[string]string{}
	for name, value := range raw {
		if !known[name] || name == configFlag {
			return nil, fmt.Errorf("no command has a flag --%s", name)
		}
		switch v := value.(type) {
		case []any:
			var words []string
			for _, word := range v {
				words = append(words, fmt.Sprint(word))
			}
			values[name] = strings.Join(words, ",")
		case map[string]any, nil:
			return nil, fmt.Errorf("%s is no value", name)
		default:
			values[name] = fmt.Sprint(v)
		}
	}
	return values, nil
}

func allFlags(root *cobra.Command) map[string]bool {
	known := map[string]bool{}
	for _, c := range slices.Concat([]*cobra.Command{root}, root.Commands()) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
		if c != root {
			for name := range allFlags(c) {
				known[name] = true
			}
		}
	}
	return known
}
