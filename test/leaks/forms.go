// SPDX-License-Identifier: Apache-2.0

// Package leaks looks for secrets where none may be: in files, in what programs say, and in the memory, command line and environment of
// running processes. It knows each secret in the forms in which programs leave one behind: raw bytes in both orders, hex, base64 in every
// alignment, lists of numbers as Go and JSON print them, one large decimal number, and the words of BIP-39.
//
// Half a secret is found as well as a whole one. What it can't find: a secret that is encrypted, masked, compressed, or spread.
package leaks

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/tyler-smith/go-bip39"
)

// Sizes in bytes: the shortest secret that is looked for, the piece of it that counts as found, and the piece of a text form that does. Pieces
// are long enough not to occur by chance.
const (
	MinSecret = 16
	piece     = 16
	textPiece = 24
)

// Secret is what must not be found.
type Secret struct {
	Name    string
	Content []byte
}

// form is a pattern that betrays a secret.
type form struct{ name, pattern string }

// forms gives the patterns of a secret.
func forms(b []byte) []form {
	var out []form
	halves := [][]byte{b[:piece], b[len(b)-piece:]}
	for _, h := range halves {
		reversed := slices.Clone(h)
		slices.Reverse(reversed)
		out = append(out, form{"raw", string(h)}, form{"raw, reversed", string(reversed)},
			form{"hex", hex.EncodeToString(h)}, form{"HEX", strings.ToUpper(hex.EncodeToString(h))}, form{"hex, reversed", hex.EncodeToString(reversed)})
		for _, list := range lists(h) {
			out = append(out, form{"list", cut(list)})
		}
	}
	for _, at := range []int{0, 1, 2} { // where the first whole group of three bytes begins
		group := b[at : at+(len(b)-at)/3*3]
		out = append(out, form{"base64", cut(base64.StdEncoding.EncodeToString(group))}, form{"base64, URL", cut(base64.URLEncoding.EncodeToString(group))})
	}
	out = append(out, form{"decimal", cut(new(big.Int).SetBytes(b).String())})
	for _, w := range words(b) {
		out = append(out, form{"words", w})
	}
	return out
}

func cut(s string) string { return s[:min(len(s), textPiece)] }

// lists are the ways in which Go and JSON print bytes as numbers.
func lists(b []byte) []string {
	plain := strings.Trim(fmt.Sprint(b), "[]")
	return []string{plain, strings.ReplaceAll(plain, " ", ", "), strings.ReplaceAll(plain, " ", ","),
		strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", b), "[]byte{"), "}"), fmt.Sprintf("% x", b)}
}

// words are the first words of a secret that is taken for the entropy of BIP-39, in the separations that programs use.
func words(b []byte) []string {
	if len(b)%4 != 0 || len(b) > 32 {
		return nil
	}
	mnemonic, err := bip39.NewMnemonic(b)
	if err != nil {
		return nil
	}
	first := strings.Fields(mnemonic)[:6]
	return []string{strings.Join(first, " "), strings.Join(first, "\n"), strings.Join(first, ","), strings.Join(first, `","`)}
}

// pattern is a form of a secret in a [Finder].
type pattern struct {
	secret, form string
	bytes        []byte
}

// key is by what a pattern is looked up: its first eight bytes.
func key(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

const keySize = 8
