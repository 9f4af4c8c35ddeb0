// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"strongroom/internal/core/auditlog"
)

// Layout of a segment file; docs/spec/log-store.md, "Segment file". All numbers are little-endian.
const (
	fileHeader  = 24 // magic, first sequence number, zero, CRC32C
	frameHeader = 16 // payload length, sequence number, CRC32C
	magic       = "STRGSEG1"
)

// maxPayload is the payload of the largest record.
const maxPayload = auditlog.MaxRecord + 4*(2+auditlog.MaxBodies)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errEnd   = errors.New("no frame follows")
	errShort = errors.New("the frame is cut off")
)

func formatHeader(first uint64) []byte {
	h := make([]byte, fileHeader)
	copy(h, magic)
	binary.LittleEndian.PutUint64(h[8:], first)
	binary.LittleEndian.PutUint32(h[20:], crc32.Checksum(h[:20], castagnoli))
	return h
}

// checkHeader says whether h opens the segment that begins with record first.
func checkHeader(h []byte, first uint64) error {
	if len(h) < fileHeader {
		return errors.New("the file is shorter than its header")
	}
	if string(h[:fileHeader]) != string(formatHeader(first)) {
		return errors.New("the file header is not that of this segment")
	}
	return nil
}

// frameSize is the length of the frame of rec.
func frameSize(rec auditlog.Record) int {
	return frameHeader + 4*(2+len(rec.Bodies)) + rec.Size()
}

// appendFrame adds the frame of record seq to b.
func appendFrame(b []byte, seq uint64, rec auditlog.Record) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(frameSize(rec)-frameHeader))
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(rec.Leaf)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(rec.Bodies)))
	for _, body := range rec.Bodies {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	}
	b = append(b, rec.Leaf...)
	for _, body := range rec.Bodies {
		b = append(b, body...)
	}
	f := b[start:]
	binary.LittleEndian.PutUint32(f[12:], frameSum(f))
	return b
}

// frameSum is CRC32C over length, sequence number and payload of the frame f.
func frameSum(f []byte) uint32 {
	return crc32.Update(crc32.Checksum(f[:12], castagnoli), castagnoli, f[frameHeader:])
}

// nextFrame checks the frame of record seq at the start of b and gives its length. errEnd: there is none; errShort: b must be
// longer, by need bytes in all, to tell; another error: the bytes are no frame of record seq.
func nextFrame(b []byte, seq uint64) (n, need int, err error) {
	if len(b) < frameHeader {
		return 0, frameHeader, errShort
	}
	size := binary.LittleEndian.Uint32(b)
	if size == 0 {
		return 0, 0, errEnd
	}
	if size > maxPayload {
		return 0, 0, fmt.Errorf("length %d is impossible", size)
	}
	if got := binary.LittleEndian.Uint64(b[4:]); got != seq {
		return 0, 0, fmt.Errorf("the frame says that it is entry %d", got)
	}
	n = frameHeader + int(size)
	if len(b) < n {
		return 0, n, errShort
	}
	if frameSum(b[:n]) != binary.LittleEndian.Uint32(b[12:]) {
		return 0, 0, errors.New("the checksum does not fit")
	}
	return n, 0, nil
}

// parseFrame splits a frame that nextFrame accepted; the record aliases it.
func parseFrame(f []byte) (auditlog.Record, error) {
	bad := errors.New("the lengths in the frame do not add up")
	p := f[frameHeader:]
	if len(p) < 8 {
		return auditlog.Record{}, bad
	}
	leaf, bodies := binary.LittleEndian.Uint32(p), binary.LittleEndian.Uint32(p[4:])
	p = p[8:]
	if leaf > auditlog.MaxLeaf || bodies > auditlog.MaxBodies || uint64(len(p)) < 4*uint64(bodies)+uint64(leaf) {
		return auditlog.Record{}, bad
	}
	lens, p := p[:4*bodies], p[4*bodies:]
	rec := auditlog.Record{Leaf: p[:leaf:leaf]}
	p = p[leaf:]
	for i := range int(bodies) {
		n := binary.LittleEndian.Uint32(lens[4*i:])
		if uint64(n) > uint64(len(p)) {
			return auditlog.Record{}, bad
		}
		rec.Bodies = append(rec.Bodies, p[:n:n])
		p = p[n:]
	}
	if len(p) != 0 {
		return auditlog.Record{}, bad
	}
	return rec, nil
}
