// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"

	"golang.org/x/term"

	"strongroom/internal/secret"
)

// errDiffer says that a new passphrase was not entered twice alike.
var errDiffer = errors.New("the two entries differ")

// tries is how often a new passphrase is asked for.
const tries = 3

// choosePassphrase reads a passphrase for something new. At a terminal one that is too short, or not the same twice, is asked for again.
func (e *env) choosePassphrase(fd int, what, flag string) (secret.Bytes, error) {
	for n := 1; ; n++ {
		p, err := e.newPassphrase(fd, what, flag)
		var bad *usageError
		if err == nil || fd >= 0 || n == tries || e.In == nil || !term.IsTerminal(int(e.In.Fd())) || !errors.As(err, &bad) && !errors.Is(err, errDiffer) {
			return p, err
		}
		e.say("%s; once more.", err)
	}
}
