// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"encoding/binary"
	"errors"
	"fmt"

	"strongroom/internal/core/domainkeys"
	"strongroom/internal/pure/entry"
)

// Snapshot files and chunks hold what confidential bodies hold, so they are sealed as those are: under the read key of period 0, which
// is no month, in pieces of at most sealedPiece bytes, each with its length before it (4 bytes, big-endian).
const (
	snapshotPeriod = 0
	sealedPiece    = 4 << 20
)

// sealFile seals a file of entry seq; 0 for chunks, which are checked by their hash.
func sealFile(ids *domainkeys.Identity, seq uint64, data []byte) ([]byte, error) {
	var out []byte
	for i := uint32(0); i == 0 || len(data) > 0; i++ {
		n := min(len(data), sealedPiece)
		stored, err := ids.SealBody(snapshotPeriod, seq, i, [entry.SaltSize]byte{}, data[:n])
		if err != nil {
			return nil, fmt.Errorf("seal snapshot: %w", err)
		}
		out = binary.BigEndian.AppendUint32(out, uint32(len(stored)))
		out = append(out, stored...)
		data = data[n:]
	}
	return out, nil
}

// openFile opens what sealFile sealed for the same entry.
func openFile(ids *domainkeys.Identity, seq uint64, sealed []byte) ([]byte, error) {
	out := make([]byte, 0, len(sealed)) // of a large state a hundred megabytes, which grown step by step would be copied many times
	for i := uint32(0); i == 0 || len(sealed) > 0; i++ {
		if len(sealed) < 4 {
			return nil, errors.New("sealed snapshot ends inside a length")
		}
		n := binary.BigEndian.Uint32(sealed)
		if sealed = sealed[4:]; uint64(n) > uint64(len(sealed)) {
			return nil, errors.New("sealed snapshot ends inside a piece")
		}
		_, piece, err := ids.OpenBody(snapshotPeriod, seq, i, sealed[:n])
		if err != nil {
			return nil, fmt.Errorf("open snapshot: %w", err)
		}
		out = append(out, piece...)
		sealed = sealed[n:]
	}
	return out, nil
}
