// SPDX-License-Identifier: Apache-2.0

// Package qrterm draws QR codes (ISO/IEC 18004) in a terminal, for cameras: two modules a character, dark on light whatever the terminal's
// colours are. It refuses text that does not fit a code of version 40 with error correction M.
package qrterm

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// quiet is the width of the light frame, in modules, that the standard asks for.
const quiet = 4

// Escape sequences of a terminal (ECMA-48 SGR): black on white, and back.
const (
	blackOnWhite = "\x1b[30;107m"
	plain        = "\x1b[0m"
)

// Draw gives the lines of a code, each with a newline.
func Draw(text string) (string, error) {
	c, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("QR code of %d characters: %w", len(text), err)
	}
	var out strings.Builder
	for y := -quiet; y < c.Size+quiet; y += 2 {
		out.WriteString(blackOnWhite)
		for x := -quiet; x < c.Size+quiet; x++ {
			switch upper, lower := c.Black(x, y), c.Black(x, y+1); {
			case upper && lower:
				out.WriteRune('█')
			case upper:
				out.WriteRune('▀')
			case lower:
				out.WriteRune('▄')
			default:
				out.WriteByte(' ')
			}
		}
		out.WriteString(plain + "\n")
	}
	return out.String(), nil
}
