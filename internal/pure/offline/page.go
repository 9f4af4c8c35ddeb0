// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A page is text of the letters A–Z and the digits 2–7 (RFC 4648 base32 without padding), which a QR code packs tightly, over: first 8 bytes of
// SHA-256 of the whole, number of this page from 0 (2 bytes, big-endian), number of pages (2), content, and the first 4 bytes of SHA-256 of all
// that stands before in the page.
const (
	// PageBytes is how many bytes of content a page has; the last may have fewer. A page's text has 1,306 characters then: a QR code of version
	// 25 with error correction M takes 1,451.
	PageBytes = 800
	// MaxPages is how many pages something may have that is carried by camera.
	MaxPages = 400

	pageHead  = 12
	pageCheck = 4
)

// ErrPage says that a page is not whole.
var ErrPage = errors.New("not a whole page")

func pageCode() *base32.Encoding { return base32.StdEncoding.WithPadding(base32.NoPadding) }

// Pages gives the pages of something, or an error if they would be too many.
func Pages(b []byte) ([]string, error) {
	n := (len(b) + PageBytes - 1) / PageBytes
	if n == 0 || n > MaxPages {
		return nil, fmt.Errorf("%d bytes make %d pages; 1 to %d are carried by camera: carry a file", len(b), n, MaxPages)
	}
	whole := sha256.Sum256(b)
	out := make([]string, 0, n)
	for part := range slices.Chunk(b, PageBytes) {
		p := slices.Clone(whole[:8])
		p = binary.BigEndian.AppendUint16(p, uint16(len(out)))
		p = binary.BigEndian.AppendUint16(p, uint16(n))
		p = append(p, part...)
		check := sha256.Sum256(p)
		out = append(out, pageCode().EncodeToString(append(p, check[:pageCheck]...)))
	}
	return out, nil
}

// page is one page, read.
type page struct {
	whole        [8]byte
	index, count int
	content      []byte
}

func readPage(text string) (page, error) {
	b, err := pageCode().DecodeString(text)
	if err != nil || pageCode().EncodeToString(b) != text || len(b) <= pageHead+pageCheck || len(b) > pageHead+PageBytes+pageCheck {
		return page{}, fmt.Errorf("%w: it can't be read", ErrPage)
	}
	body := b[:len(b)-pageCheck]
	if check := sha256.Sum256(body); string(check[:pageCheck]) != string(b[len(body):]) {
		return page{}, fmt.Errorf("%w: it was not read right", ErrPage)
	}
	p := page{whole: [8]byte(body), index: int(binary.BigEndian.Uint16(body[8:])), count: int(binary.BigEndian.Uint16(body[10:])), content: body[pageHead:]}
	if p.index >= p.count || p.count > MaxPages || p.index < p.count-1 && len(p.content) != PageBytes {
		return page{}, fmt.Errorf("%w: page %d of %d", ErrPage, p.index+1, p.count)
	}
	return p, nil
}

// Join puts pages together again, in any order, each any number of times; blank lines between them are skipped. An error says which page can't be read, which are
// missing, or that they are of different things.
func Join(lines []string) ([]byte, error) {
	var have []page
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		p, err := readPage(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if len(have) == 0 {
			have = make([]page, p.count)
		}
		if first := slices.IndexFunc(have, func(q page) bool { return q.count > 0 }); first >= 0 && have[first].whole != p.whole || len(have) != p.count {
			return nil, fmt.Errorf("line %d: %w: it is of something else than the pages before", i+1, ErrPage)
		}
		if q := have[p.index]; q.count > 0 && string(q.content) != string(p.content) {
			return nil, fmt.Errorf("line %d: %w: page %d came with two contents", i+1, ErrPage, p.index+1)
		}
		have[p.index] = p
	}
	return join(have)
}

func join(have []page) ([]byte, error) {
	if len(have) == 0 {
		return nil, fmt.Errorf("%w: there are none", ErrPage)
	}
	var missing []string
	var out []byte
	for i, p := range have {
		if p.count == 0 {
			missing = append(missing, fmt.Sprint(i+1))
		}
		out = append(out, p.content...)
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%w: of %d pages, these are missing: %s", ErrPage, len(have), strings.Join(missing, ", "))
	}
	if whole := sha256.Sum256(out); [8]byte(whole[:8]) != have[slices.IndexFunc(have, func(p page) bool { return p.count > 0 })].whole {
		return nil, fmt.Errorf("%w: together they are not what was split", ErrPage)
	}
	return out, nil
}
