// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"bytes"
	"testing"

	"strongroom/internal/core/domainkeys"
	"strongroom/internal/secret"
)

func TestSealedFile(t *testing.T) {
	t.Parallel()
	arena, err := secret.NewArena(secret.Config{Size: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := domainkeys.GenerateIdentity(arena, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, sealedPiece, sealedPiece + 1, 2*sealedPiece + 7} {
		data := bytes.Repeat([]byte("snapshot"), n/8+1)[:n]
		sealed, err := sealFile(ids, 9, data)
		if err != nil {
			t.Fatal(err)
		}
		if n > 16 && bytes.Contains(sealed, []byte("snapshotsnapshot")) {
			t.Error("the content shows")
		}
		if got, err := openFile(ids, 9, sealed); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: opened %d bytes, %v", n, len(got), err)
		}
		if _, err := openFile(ids, 8, sealed); err == nil {
			t.Error("opened as another entry's")
		}
		for _, at := range []int{0, 4, len(sealed) / 2, len(sealed) - 1} {
			bad := bytes.Clone(sealed)
			bad[at] ^= 1
			if _, err := openFile(ids, 9, bad); err == nil {
				t.Errorf("%d bytes: opened with byte %d changed", n, at)
			}
		}
		if _, err := openFile(ids, 9, sealed[:len(sealed)-1]); err == nil {
			t.Error("opened though cut")
		}
	}
}
