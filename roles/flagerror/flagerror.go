// Package flagerror says what is wrong with a flag in plain words.
package flagerror

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
)

// wanted is what values of pflag's types look like.
var wanted = map[string]string{
	"bool":     "true or false",
	"duration": "a duration such as 90s or 5m",
	"float64":  "a number",
	"int":      "a whole number",
	"int64":    "a whole number",
	"uint32":   "a whole number from 0 to 4294967295",
	"uint64":   "a whole number from 0",
}

// Plain returns what pflag says of a flag without Go's own words for a value that does not parse.
func Plain(err error) error {
	var wrong *pflag.InvalidValueError
	if !errors.As(err, &wrong) {
		return err
	}
	flag := wrong.GetFlag()
	want, ok := wanted[flag.Value.Type()]
	if !ok {
		return err
	}
	return fmt.Errorf("--%s %q: want %s", flag.Name, wrong.GetValue(), want)
}
