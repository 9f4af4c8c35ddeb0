// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"path/filepath"
)

// tamperName is the file of a data folder that strongroom-core watches for.
const tamperName = "tamper"

type hsmTamper struct {
	Data  string `required:"" placeholder:"DIR" help:"Folder of the domain, on the core's machine."`
	Cause string `default:"strongroom hsm tamper" placeholder:"TEXT" help:"What is recorded as the cause."`
	Yes   bool   `short:"y" help:"Do not ask."`
}

// Run makes the tamper file. The core, running or not, destroys its working keys.
func (c *hsmTamper) Run(e *env) error {
	if _, err := os.Stat(filepath.Join(c.Data, domainName)); err != nil {
		return fmt.Errorf("%s is not the folder of a domain: %w", c.Data, err)
	}
	if err := e.confirm(c.Yes, fmt.Sprintf("This DESTROYS every working key of the domain in %s. Nothing can be signed until its custodians restore it. Go on?", c.Data)); err != nil {
		return err
	}
	if err := replace(filepath.Join(c.Data, tamperName), []byte(c.Cause+"\n"), 0o600); err != nil {
		return err
	}
	e.say("The core destroys its working keys now; one that does not run does so at its next start.")
	e.hint("before a restore, remove %s", filepath.Join(c.Data, tamperName))
	return nil
}
