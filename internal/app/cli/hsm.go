// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"strongroom/internal/secret"
)

// hsmCmd looks at tokens.
type hsmCmd struct {
	Probe  hsmProbe  `cmd:"" help:"Say what a PKCS#11 library and its token can do, by trying, and whether the token can be a root of trust."`
	Tamper hsmTamper `cmd:"" help:"Have the core destroy its working keys at once, without anybody's approval: on its machine, in an emergency."`
}

type hsmProbe struct {
	Module  string `required:"" placeholder:"PATH" help:"Library of the token, such as /usr/lib/softhsm/libsofthsm2.so. It is loaded by strongroom-core."`
	Token   string `placeholder:"LABEL" help:"Label or serial number of the token to try; without it the tokens are listed, which needs no PIN."`
	PINFD   int    `name:"pin-fd" default:"-1" placeholder:"N" help:"Read the PIN from this file descriptor; default: the terminal."`
	Timeout string `placeholder:"DURATION" help:"How long one call into the library may take; default 30s."`
}

// probeReport is what strongroom-core says.
type probeReport struct {
	Library  string `json:"library"`
	Cryptoki string `json:"cryptoki"`
	Tokens   []struct {
		Label        string `json:"label"`
		Serial       string `json:"serial"`
		Manufacturer string `json:"manufacturer"`
		Model        string `json:"model"`
		Initialized  bool   `json:"initialized"`
		Hardware     bool   `json:"hardware"`
		PIN          string `json:"pin"`
	} `json:"tokens"`
	Token  string `json:"token,omitempty"`
	Checks []struct {
		Name   string `json:"name"`
		Works  bool   `json:"works"`
		Detail string `json:"detail,omitempty"`
	} `json:"checks,omitempty"`
	Profiles []struct {
		Name    string   `json:"name"`
		Fits    bool     `json:"fits"`
		Missing []string `json:"missing,omitempty"`
	} `json:"profiles,omitempty"`
}

// Run has strongroom-core do it, so that a vendor's library is in no other process.
func (c *hsmProbe) Run(e *env) error {
	args := []string{"probe", "--pkcs11-module", c.Module}
	if c.Timeout != "" {
		args = append(args, "--pkcs11-timeout", c.Timeout)
	}
	var pin secret.Bytes
	if c.Token != "" {
		var err error
		if pin, err = e.passphrase(c.PINFD, fmt.Sprintf("PIN of token %s: ", c.Token), "--pin-fd"); err != nil {
			return err
		}
		defer pin.Wipe()
		args = append(args, "--pkcs11-token", c.Token)
		if c.PINFD < 0 {
			args = append(args, "--pin-typed")
		}
	}
	out, err := e.runCore(pin, args...)
	if err != nil {
		return err
	}
	var r probeReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return fmt.Errorf("%s probe: %w", coreProgram, err)
	}
	return e.show(r, func() error { return r.write(e) })
}

// write writes a report as tables.
func (r probeReport) write(e *env) error {
	if err := e.pairs([]pair{{"library", r.Library}, {"standard", "PKCS #11 " + r.Cryptoki}}); err != nil {
		return err
	}
	var rows [][]string
	if r.Token == "" {
		for _, t := range r.Tokens {
			pin := t.PIN
			if !t.Initialized {
				pin = "not initialized"
			}
			rows = append(rows, []string{t.Label, t.Serial, t.Manufacturer, t.Model, pin})
		}
		fmt.Fprintln(e.Out)
		return e.table([]string{"token", "serial", "manufacturer", "model", "pin"}, rows)
	}
	yes := map[bool]string{true: "yes", false: "no"}
	for _, c := range r.Checks {
		rows = append(rows, []string{c.Name, yes[c.Works], c.Detail})
	}
	fmt.Fprintln(e.Out)
	if err := e.table([]string{"tried with token " + r.Token, "works", "detail"}, rows); err != nil {
		return err
	}
	rows = nil
	for _, p := range r.Profiles {
		rows = append(rows, []string{p.Name, yes[p.Fits], strings.Join(p.Missing, "; ")})
	}
	fmt.Fprintln(e.Out)
	return e.table([]string{"profile", "fits", "missing"}, rows)
}
