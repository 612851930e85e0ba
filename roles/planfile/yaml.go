package planfile

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
)

// Decode lays YAML over v; a field that v does not have is an error. Errors begin with the place and show the line.
func Decode(text []byte, v any) error {
	if !printable(text) {
		return errors.New("not a text file")
	}
	if err := yaml.UnmarshalWithOptions(text, v, yaml.Strict()); err != nil {
		return errors.New(yaml.FormatError(plain(err), false, true))
	}
	return nil
}

// printable tells text from what would disturb a terminal on which an error shows it.
func printable(text []byte) bool {
	for _, r := range string(text) {
		if r == utf8.RuneError || r < ' ' && r != '\n' && r != '\r' && r != '\t' {
			return false
		}
	}
	return true
}

// plain says in the words of YAML what the decoder says in those of Go.
func plain(err error) error {
	var kind *yaml.TypeError
	var size *yaml.OverflowError
	switch {
	case errors.As(err, &kind):
		return &yaml.SyntaxError{Message: fmt.Sprintf("want %s, not %s", called(kind.DstType), called(kind.SrcType)), Token: kind.Token}
	case errors.As(err, &size):
		return &yaml.SyntaxError{Message: fmt.Sprintf("%s is out of range", size.SrcNum), Token: size.Token}
	}
	if text, ok := strings.CutPrefix(err.Error(), "time: "); ok { // the decoder does not tell where
		return fmt.Errorf("%s: want one such as 90s or 5m", text)
	}
	return err
}

// called is what a person calls a value of a type.
func called(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Pointer:
		return called(t.Elem())
	default:
		return "a mapping of names to values"
	}
}
