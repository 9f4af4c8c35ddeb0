// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// ErrMarshal says that somebody tried to encode or decode a secret. Seal it and store the sealed form instead.
var ErrMarshal = errors.New("secret: secrets are not marshalled: seal the secret and store the sealed form")

const redacted = "[secret]"

// Format prints "[secret]" under every verb and flag.
func (b Bytes) Format(f fmt.State, _ rune) { writeString(f, redacted) }

// String returns "[secret]".
func (b Bytes) String() string { return redacted }

// LogValue logs as "[secret]".
func (b Bytes) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON refuses with [ErrMarshal].
func (b Bytes) MarshalJSON() ([]byte, error) { return nil, ErrMarshal }

// MarshalText refuses with [ErrMarshal]; it also stops XML, YAML, flags and map keys.
func (b Bytes) MarshalText() ([]byte, error) { return nil, ErrMarshal }

// MarshalBinary refuses with [ErrMarshal].
func (b Bytes) MarshalBinary() ([]byte, error) { return nil, ErrMarshal }

// MarshalCBOR refuses with [ErrMarshal].
func (b Bytes) MarshalCBOR() ([]byte, error) { return nil, ErrMarshal }

// MarshalYAML refuses with [ErrMarshal].
func (b Bytes) MarshalYAML() (any, error) { return nil, ErrMarshal }

// GobEncode refuses with [ErrMarshal].
func (b Bytes) GobEncode() ([]byte, error) { return nil, ErrMarshal }

// UnmarshalJSON refuses with [ErrMarshal]: a decoder would leave copies of a secret on the heap.
func (b *Bytes) UnmarshalJSON([]byte) error { return ErrMarshal }

// UnmarshalText refuses with [ErrMarshal].
func (b *Bytes) UnmarshalText([]byte) error { return ErrMarshal }

// UnmarshalBinary refuses with [ErrMarshal].
func (b *Bytes) UnmarshalBinary([]byte) error { return ErrMarshal }

// UnmarshalCBOR refuses with [ErrMarshal].
func (b *Bytes) UnmarshalCBOR([]byte) error { return ErrMarshal }

// GobDecode refuses with [ErrMarshal].
func (b *Bytes) GobDecode([]byte) error { return ErrMarshal }

// writeString writes to a fmt.State, whose Write cannot fail.
func writeString(w io.Writer, s string) { _, _ = io.WriteString(w, s) }
