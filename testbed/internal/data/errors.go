package data

import (
	"errors"
	"fmt"
)

// Sentinels. A missing file is reported as fs.ErrNotExist.
var (
	// ErrDamaged says that a file is there but is not what it should be; the message names it.
	ErrDamaged = errors.New("damaged file")
	// ErrOptions says that what was asked for does not fit the data set.
	ErrOptions = errors.New("options do not fit the data set")
)

// damaged returns an ErrDamaged that names the file.
func damaged(file, format string, args ...any) error {
	return fmt.Errorf("data: %s: %w: %s", file, ErrDamaged, fmt.Sprintf(format, args...))
}

// unfit returns an ErrOptions.
func unfit(format string, args ...any) error {
	return fmt.Errorf("data: %w: %s", ErrOptions, fmt.Sprintf(format, args...))
}
