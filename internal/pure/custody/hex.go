// SPDX-License-Identifier: Apache-2.0

package custody

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
)

// HexBytes are bytes that people compare and paste, public keys above all: lower-case hex in JSON. In CBOR they are a byte string.
type HexBytes []byte

// MarshalJSON writes hex.
func (h HexBytes) MarshalJSON() ([]byte, error) { return json.Marshal(hex.EncodeToString(h)) }

// UnmarshalJSON reads lower-case hex.
func (h *HexBytes) UnmarshalJSON(b []byte) error {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil || s == nil {
		return errors.New("must be a string of hex digits")
	}
	out, err := hex.DecodeString(*s)
	if err != nil || strings.ToLower(*s) != *s {
		return errors.New("must be lower-case hex digits, an even number")
	}
	*h = out
	return nil
}
