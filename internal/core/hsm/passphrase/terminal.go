// SPDX-License-Identifier: Apache-2.0

package passphrase

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"strongroom/internal/secret"
)

// Keys that edit the line, as byte values.
const (
	ctrlC     = 0x03
	ctrlD     = 0x04
	backspace = 0x08
	ctrlU     = 0x15
	del       = 0x7f
)

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// askTerminal asks and reads a line without showing it.
//
// golang.org/x/term reads lines into slices on the heap that it grows, and leaves the terminal without echo when Ctrl-C ends the program.
// So the terminal is read byte by byte into the arena, with signals off, and its mode is always put back.
func askTerminal(a *secret.Arena, tty *os.File, out io.Writer, prompt string) (p secret.Bytes, err error) {
	if tty == nil || out == nil || !isTerminal(int(tty.Fd())) {
		return secret.Bytes{}, ErrNoSource
	}
	fd := int(tty.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("passphrase: read the terminal's mode: %w", err)
	}
	silent := *before
	silent.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	silent.Iflag |= unix.ICRNL
	silent.Cc[unix.VMIN], silent.Cc[unix.VTIME] = 1, 0
	// TCSETSF drops what was typed before the question: it was shown.
	if err := unix.IoctlSetTermios(fd, unix.TCSETSF, &silent); err != nil {
		return secret.Bytes{}, fmt.Errorf("passphrase: silence the terminal: %w", err)
	}
	defer func() {
		if e := unix.IoctlSetTermios(fd, unix.TCSETS, before); e != nil && err == nil {
			p.Wipe()
			p, err = secret.Bytes{}, fmt.Errorf("passphrase: put the terminal's mode back: %w", e)
		}
	}()
	if _, err := io.WriteString(out, prompt); err != nil {
		return secret.Bytes{}, fmt.Errorf("passphrase: ask: %w", err)
	}
	p, err = collect(a, func(b *buffer) error { return readLine(fd, b) })
	if _, e := io.WriteString(out, "\n"); e != nil && err == nil {
		p.Wipe()
		return secret.Bytes{}, fmt.Errorf("passphrase: ask: %w", e)
	}
	return p, err
}

// readLine reads to the end of the line. Backspace removes a character, Ctrl-U all.
func readLine(fd int, b *buffer) error {
	for {
		room := b.b[len(b.b):cap(b.b)]
		if len(room) == 0 {
			return ErrTooLong
		}
		n, err := read(fd, room[:1])
		if errors.Is(err, unix.EIO) || err == nil && n == 0 {
			return fmt.Errorf("%w: the terminal was closed", ErrEmpty)
		}
		if err != nil {
			return err
		}
		switch room[0] {
		case '\n', '\r':
			return nil
		case ctrlC:
			return ErrCancelled
		case ctrlD:
			if len(b.b) == 0 {
				return ErrEmpty
			}
		case backspace, del:
			_, size := utf8.DecodeLastRune(b.b)
			b.b = b.b[:len(b.b)-size]
		case ctrlU:
			b.b = b.b[:0]
		default:
			b.b = b.b[:len(b.b)+1]
		}
	}
}
