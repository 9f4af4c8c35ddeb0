// SPDX-License-Identifier: Apache-2.0

package canon

import "bytes"

// OracleEncode is [Encode] by the module alone.
func OracleEncode(v any) ([]byte, error) { return encMode.Marshal(v) }

// OracleDecode is [DecodeLarge] by the module alone: decode, encode again, compare.
func OracleDecode(b []byte, v any) error {
	if err := decMode.Unmarshal(b, v); err != nil {
		return err
	}
	again, err := encMode.Marshal(v)
	if err == nil && !bytes.Equal(again, b) {
		err = ErrNotCanonical
	}
	return err
}
