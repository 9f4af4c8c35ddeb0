// SPDX-License-Identifier: Apache-2.0

package custody

import (
	"bytes"
	"encoding/json"
	"testing"

	"strongroom/internal/pure/canon"
)

func TestHexBytes(t *testing.T) {
	t.Parallel()
	in := HexBytes{0, 0xab, 255}
	b, err := json.Marshal(struct{ K HexBytes }{in})
	if err != nil || string(b) != `{"K":"00abff"}` {
		t.Fatalf("got %s, error %v", b, err)
	}
	var out struct{ K HexBytes }
	if err := json.Unmarshal(b, &out); err != nil || !bytes.Equal(out.K, in) {
		t.Errorf("got %x, error %v", out.K, err)
	}
	for _, bad := range []string{`"0"`, `"0G"`, `"AB"`, `7`, `null`, `["00"]`, `"AKv/"`, `" 00"`} {
		if err := new(HexBytes).UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if !bytes.Equal(canon.Encode(in), canon.Encode([]byte(in))) {
		t.Error("the canonical encoding is another than that of plain bytes")
	}
}
