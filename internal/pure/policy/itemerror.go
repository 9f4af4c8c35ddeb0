// SPDX-License-Identifier: Apache-2.0

package policy

// ItemError says which item of a document is wrong, so that who has the file can show where it stands.
type ItemError struct {
	Section string // key of a rule file, for instance limits
	ID      string // of the item
	Err     error  // what is wrong with it
	word    string // for one item of the section
}

func (e *ItemError) Error() string { return e.word + " " + e.ID + ": " + e.Err.Error() }

// Unwrap gives what is wrong with the item.
func (e *ItemError) Unwrap() error { return e.Err }

func inItem[S ~string](section, word string, id S, err error) error {
	return &ItemError{Section: section, ID: string(id), Err: err, word: word}
}
