// SPDX-License-Identifier: Apache-2.0

package slip39

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"strings"

	"strongroom/internal/secret"
)

// Customization strings of the checksum (SLIP-39 "Checksum").
const (
	customShamir     = "shamir"
	customExtendable = "shamir_extendable"
)

// wordlist is the list of SLIP-39: 1,024 words of 4 to 8 letters in the order of the alphabet, no two with the same first four.
//
//go:embed wordlist.txt
var wordlist string

// words are those of the list, each as its letters in a number, the first letter highest.
var words = packList(wordlist)

const (
	wordBits = 10
	listSize = 1 << wordBits
	maxWord  = 8 // letters
)

func packList(text string) (list [listSize]uint64) {
	fields := strings.Fields(text)
	if len(fields) != listSize {
		panic(fmt.Sprintf("slip39: %d words in the list, not %d", len(fields), listSize))
	}
	for i, w := range fields {
		var b [maxWord]byte
		copy(b[:], w)
		list[i] = binary.BigEndian.Uint64(b[:])
	}
	return list
}

// equalMask is all ones if a == b, otherwise 0, in constant time.
func equalMask(a, b uint64) uint64 {
	x := a ^ b
	return (x|-x)>>63 - 1
}

// wordOf gives the word of a number, reading the whole list.
func wordOf(n uint16) (w uint64) {
	for i, v := range words {
		w |= v & equalMask(uint64(i), uint64(n))
	}
	return w
}

// numberOf gives the number of a word, reading the whole list; ok is false when it isn't there.
func numberOf(w uint64) (n uint16, ok bool) {
	var found uint64
	for i, v := range words {
		m := equalMask(v, w)
		n |= uint16(i) & uint16(m)
		found |= m
	}
	return n, found != 0
}

// generator of RS1024 (SLIP-39 "Checksum").
var generator = [wordBits]uint32{0xe0e040, 0x1c1c080, 0x3838100, 0x7070200, 0xe0e0009, 0x1c0c2412, 0x38086c24, 0x3090fc48, 0x21b1f890, 0x3f3f120}

// polymod is the checksum's polynomial remainder of the customization string and the numbers, in constant time.
func polymod(extendable bool, numbers []byte) uint32 {
	sum := uint32(1)
	step := func(v uint32) {
		top := sum >> 20
		sum = sum&0xfffff<<wordBits ^ v
		for i, g := range generator {
			sum ^= g & -(top >> i & 1)
		}
	}
	custom := customShamir
	if extendable {
		custom = customExtendable
	}
	for _, c := range []byte(custom) {
		step(uint32(c))
	}
	for i := 0; i < len(numbers); i += 2 {
		step(uint32(binary.BigEndian.Uint16(numbers[i:])))
	}
	return sum
}

// bits writes or reads a stream of bits in a row of 10-bit numbers, each in two bytes.
type bits struct {
	numbers []byte
	at      int // bit
}

func (s *bits) put(v uint64, n int) {
	for i := n - 1; i >= 0; i-- {
		b := s.numbers[s.at/wordBits*2:][:2]
		x := binary.BigEndian.Uint16(b) | uint16(v>>i&1)<<(wordBits-1-s.at%wordBits)
		binary.BigEndian.PutUint16(b, x)
		s.at++
	}
}

func (s *bits) get(n int) (v uint64) {
	for range n {
		b := binary.BigEndian.Uint16(s.numbers[s.at/wordBits*2:])
		v = v<<1 | uint64(b>>(wordBits-1-s.at%wordBits)&1)
		s.at++
	}
	return v
}

// writeWords gives the text of one share.
func writeWords(a *secret.Arena, h Header, value secret.Bytes) (secret.Bytes, error) {
	size := value.Len()
	count := (8*size + wordBits - 1) / wordBits
	total := headerWords + count + checksumWords
	numbers, err := secret.New(a, 2*total, func(b []byte) error {
		s := bits{numbers: b}
		s.put(uint64(h.ID), 15)
		s.put(bit(h.Extendable), 1)
		for _, v := range []uint8{h.Exponent, h.GroupIndex, h.GroupThreshold - 1, h.GroupCount - 1, h.Index, h.Threshold - 1} {
			s.put(uint64(v), 4)
		}
		s.put(0, count*wordBits-8*size)
		err := value.Use(func(v []byte) error {
			for _, c := range v {
				s.put(uint64(c), 8)
			}
			return nil
		})
		s.put(uint64(polymod(h.Extendable, b)^1), checksumWords*wordBits)
		return err
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	defer numbers.Wipe()
	var text secret.Bytes
	err = numbers.Use(func(b []byte) (err error) {
		length := total - 1
		eachWord(b, func(w uint64) { length += letters(w) })
		text, err = secret.New(a, length, func(out []byte) error {
			at := 0
			eachWord(b, func(w uint64) {
				if at > 0 {
					out[at] = ' '
					at++
				}
				for range letters(w) {
					out[at] = byte(w >> 56)
					w <<= 8
					at++
				}
			})
			return nil
		})
		return err
	})
	return text, err
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func eachWord(numbers []byte, f func(w uint64)) {
	for i := 0; i < len(numbers); i += 2 {
		f(wordOf(binary.BigEndian.Uint16(numbers[i:])))
	}
}

// letters counts the letters of a word.
func letters(w uint64) (n int) {
	for ; w != 0; w <<= 8 {
		n++
	}
	return n
}

// readWords reads the text of one share.
func readWords(a *secret.Arena, text secret.Bytes) (m member, err error) {
	if n := text.Len(); n > MaxText {
		return member{}, fmt.Errorf("%w: a text of %d bytes, at most %d", ErrLength, n, MaxText)
	}
	err = text.Use(func(t []byte) error {
		count := 0
		inWord := false
		for _, c := range t {
			if !space(c) && !inWord {
				count++
			}
			inWord = !space(c)
		}
		padding := (count - headerWords - checksumWords) * wordBits % 16
		if count < minWords || padding > 8 || count > headerWords+(8*MaxSecret+9)/10+checksumWords {
			return fmt.Errorf("%w: %d", ErrLength, count)
		}
		numbers, err := secret.New(a, 2*count, func(b []byte) error { return lookUp(b, t) })
		if err != nil {
			return err
		}
		defer numbers.Wipe()
		return numbers.Use(func(b []byte) error {
			m, err = readNumbers(a, b, padding)
			return err
		})
	})
	if err != nil {
		return member{}, err
	}
	return m, nil
}

func space(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// lookUp writes the numbers of a text's words.
func lookUp(numbers, text []byte) error {
	at, length, w := 0, 0, uint64(0)
	for i := 0; i <= len(text); i++ {
		if i < len(text) && !space(text[i]) {
			c := text[i]
			if c >= 'A' && c <= 'Z' {
				c |= 0x20
			}
			if length < maxWord {
				w |= uint64(c) << (56 - 8*length)
			}
			length++
			continue
		}
		if length == 0 {
			continue
		}
		n, ok := numberOf(w)
		if !ok || length > maxWord {
			return fmt.Errorf("%w: word %d", ErrWord, at/2+1)
		}
		binary.BigEndian.PutUint16(numbers[at:], n)
		at, length, w = at+2, 0, 0
	}
	return nil
}

func readNumbers(a *secret.Arena, numbers []byte, padding int) (m member, err error) {
	s := bits{numbers: numbers}
	m.ID, m.Extendable = uint16(s.get(15)), s.get(1) == 1
	if polymod(m.Extendable, numbers) != 1 {
		return member{}, ErrChecksum
	}
	m.Exponent, m.GroupIndex, m.GroupThreshold = uint8(s.get(4)), uint8(s.get(4)), uint8(s.get(4))+1
	m.GroupCount, m.Index, m.Threshold = uint8(s.get(4))+1, uint8(s.get(4)), uint8(s.get(4))+1
	if m.GroupThreshold > m.GroupCount || m.GroupIndex >= m.GroupCount {
		return member{}, fmt.Errorf("%w: group %d, %d of %d groups", ErrScheme, m.GroupIndex+1, m.GroupThreshold, m.GroupCount)
	}
	if s.get(padding) != 0 {
		return member{}, ErrPadding
	}
	size := (len(numbers)/2-headerWords-checksumWords)*wordBits - padding
	m.value, err = secret.New(a, size/8, func(out []byte) error {
		for i := range out {
			out[i] = byte(s.get(8))
		}
		return nil
	})
	return m, err
}
