package ledger

import (
	"fmt"
	"os"

	"dpfpl/mathx/dp"
)

// Read returns every step that the ledger at path has debited, in order, for an inspection. It takes no lock
// and changes nothing, so the client may be at work: a record that is being written counts as not there yet.
// Errors: ErrDamaged, and those of the file system.
func Read(path string) ([]Spending, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b, err := newBook(dp.ZeroOut) // whatever the adjacency: the account is not looked at
	if err != nil {
		return nil, err
	}
	if _, err := replay(content, b); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b.spent, nil
}
