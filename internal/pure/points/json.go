// SPDX-License-Identifier: Apache-2.0

package points

import (
	"encoding/json"
	"fmt"
)

// MarshalJSON writes the names by number; a set with a number that this version doesn't know can't be written.
func (s Set) MarshalJSON() ([]byte, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	return json.Marshal(s.Names())
}

// UnmarshalJSON reads names as [ParseNames] does.
func (s *Set) UnmarshalJSON(b []byte) error {
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("%w: want a list of names", ErrPoint)
	}
	out, err := ParseNames(list)
	if err != nil {
		return err
	}
	*s = out
	return nil
}
