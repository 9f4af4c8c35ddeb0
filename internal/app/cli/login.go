// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"

	"strongroom/internal/app/words"
	"strongroom/internal/edge/passwords"
	"strongroom/internal/edge/qrterm"
)

// loginCmd is about logins by password and code, for reading in a browser.
type loginCmd struct {
	Set    loginSet    `cmd:"" help:"Make your login to the pages by password and code, or another one in its place; your approval key signs that. It reads, and decides nothing."`
	Remove loginRemove `cmd:"" help:"End your login by password and code."`
}

type loginSet struct {
	PasswordFD int `name:"password-fd" default:"-1" placeholder:"N" help:"Read the new password from this file descriptor; default: the terminal."`
}

// Run makes the login. The secret of the codes is for the person's authenticator program, and is shown nowhere else again.
func (c *loginSet) Run(e *env) error {
	e.SignCalls = true
	cl, err := e.client()
	if err != nil {
		return err
	}
	k, err := e.signer()
	if err != nil {
		return err
	}
	pass, err := e.newPassphrase(c.PasswordFD, "your login", "--password-fd")
	if err != nil {
		return err
	}
	defer pass.Wipe()
	if pass.Len() < passwords.MinPassword {
		return usage("a password has at least %d bytes", passwords.MinPassword)
	}
	var uri string
	err = pass.Use(func(b []byte) (err error) {
		own := bytes.Clone(b) // the encoder of JSON makes copies of its own
		defer clear(own)
		uri, err = cl.SetLogin(e.ctx, own)
		return err
	})
	if err != nil {
		return err
	}
	e.say("Your login is made. Sign in with your person id, %s, the password, and a code of your authenticator program, which reads this secret; it is not shown again:", k.Person())
	if e.json() {
		b, err := words.JSON(map[string]string{"person": string(k.Person()), "uri": uri}, "  ")
		if err != nil {
			return err
		}
		_, err = e.Out.Write(append(b, '\n'))
		return err
	}
	code, err := qrterm.Draw(uri)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.Out, "%s\n%s\n", code, uri)
	return err
}

type loginRemove struct{}

// Run ends it.
func (c *loginRemove) Run(e *env) error {
	e.SignCalls = true
	cl, err := e.client()
	if err != nil {
		return err
	}
	k, err := e.signer()
	if err != nil {
		return err
	}
	if err := cl.RemoveLogin(e.ctx, k.Person()); err != nil {
		return err
	}
	e.say("Your login by password is gone. Who is signed in with it stays so for 8 hours at most.")
	return nil
}
