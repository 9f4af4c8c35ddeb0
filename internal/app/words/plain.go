// SPDX-License-Identifier: Apache-2.0

package words

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// hidden says whether a character moves the cursor, rewrites the screen, turns the direction of text or can't be seen: Unicode's control
// characters (Cc: C0, DEL, C1), format characters (Cf: bidirectional marks among them) and line and paragraph separators.
func hidden(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }

// Plain makes a line that may hold what somebody else wrote fit for a terminal: every hidden character, a newline too, and every broken
// encoding becomes U+FFFD. What can be seen stays.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		if hidden(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// PlainJSON makes JSON fit for a terminal without changing what it says: hidden characters, which encoding/json leaves as they are in
// strings, are escaped. It may hold newlines and spaces between its parts.
func PlainJSON(b []byte) []byte {
	if bytes.IndexFunc(b, func(r rune) bool { return r >= 0x7f && hidden(r) }) < 0 {
		return b
	}
	var out bytes.Buffer
	for _, r := range string(b) {
		switch {
		case r < 0x7f || !hidden(r):
			out.WriteRune(r)
		case r > 0xffff: // as a surrogate pair, RFC 8259 section 7
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.Bytes()
}

// JSON gives v as JSON that is fit for a terminal, with a newline; indent goes before each level, nothing: all in one line.
func JSON(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", indent)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return PlainJSON(b.Bytes()), err
}

// plain is Plain for each of some lines.
func plain(lines []string) []string {
	for i, l := range lines {
		lines[i] = Plain(l)
	}
	return lines
}
