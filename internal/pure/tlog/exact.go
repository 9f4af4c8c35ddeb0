// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
)

// OpenExact is [OpenCheckpoint] for a checkpoint of which every byte must count: each signature line is by one of keys, and spelt in
// the one way that base64 has (RFC 4648 section 3.5).
func OpenExact(signed []byte, keys ...Key) (Checkpoint, error) {
	c, err := OpenCheckpoint(signed, keys...)
	if err != nil {
		return c, err
	}
	_, lines, ok := bytes.Cut(signed, []byte("\n\n"))
	if !ok || !bytes.HasSuffix(lines, []byte("\n")) {
		return Checkpoint{}, fmt.Errorf("%w: no signature lines", ErrCheckpoint)
	}
	seen := map[string]bool{}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(lines), "\n"), "\n") {
		name, sig, ok := strings.Cut(strings.TrimPrefix(line, "— "), " ")
		raw, err := base64.StdEncoding.Strict().DecodeString(sig)
		if !ok || err != nil || len(raw) < 4 || base64.StdEncoding.EncodeToString(raw) != sig {
			return Checkpoint{}, fmt.Errorf("%w: a signature line is not spelt canonically", ErrCheckpoint)
		}
		known := false
		for _, k := range keys {
			known = known || k.v.Name() == name && fmt.Sprintf("%08x", k.v.KeyHash()) == fmt.Sprintf("%x", raw[:4])
		}
		if !known || seen[line] {
			return Checkpoint{}, fmt.Errorf("%w: a signature line is by a key that was not given, or stands twice", ErrUnsigned)
		}
		seen[line] = true
	}
	return c, nil
}
