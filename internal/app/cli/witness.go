// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"log/slog"
	"time"

	"strongroom/internal/app/witnessapp"
	"strongroom/internal/edge/tlsca"
	"strongroom/internal/secret"
)

// witnessCmd is a log witness for domains of others.
type witnessCmd struct {
	Init witnessInit `cmd:"" help:"Make the key of a log witness."`
	Run  witnessRun  `cmd:"" help:"Run a log witness: it cosigns logs that only grow."`
	Show witnessShow `cmd:"" help:"Print the vkey of a witness, and what it remembers of each log while it does not run."`
}

// witnessKey says where a witness's key is.
type witnessKey struct {
	File         string `name:"witness-key" required:"" placeholder:"FILE" help:"File of the witness's key; beside it lies FILE.vkey, its public part."`
	PassphraseFD int    `name:"passphrase-fd" default:"-1" placeholder:"N" help:"Read the key's passphrase from this file descriptor; default: the terminal."`
}

type witnessInit struct {
	witnessKey
	Name  string `required:"" placeholder:"NAME" help:"Name of the witness in its signatures, for instance witness.example/w1."`
	Plain bool   `name:"plain-key-unsafe" help:"Write the key without a passphrase: whoever can read the file can sign as this witness."`
}

// Run makes the key.
func (c *witnessInit) Run(e *env) error {
	var pass secret.Bytes
	if !c.Plain {
		var err error
		if pass, err = e.choosePassphrase(c.PassphraseFD, "the witness's key", "--passphrase-fd"); err != nil {
			return err
		}
		defer pass.Wipe()
	}
	vkey, err := witnessapp.Init(e.arena, c.File, c.Name, pass, c.Plain)
	if err != nil {
		return err
	}
	e.hint("tell those who run a domain this vkey: strongroom domain create --anchor witness --witness w1=VKEY …; they tell you the log vkey of their domain, for your list of logs")
	return e.show(map[string]string{"vkey": vkey}, func() error { return e.pairs([]pair{{"vkey", vkey}}) })
}

type witnessRun struct {
	witnessKey
	Listen  string   `required:"" placeholder:"HOST:PORT" help:"Where to listen."`
	State   string   `required:"" placeholder:"DIR" help:"Folder of what the witness remembers. Never set it back, and never give it to two witnesses."`
	Logs    string   `required:"" placeholder:"FILE" help:"The accepted logs, lines \"log VKEY\"; 'strongroom domain show' prints a domain's."`
	TLSDir  string   `name:"tls-dir" placeholder:"DIR" help:"Serve HTTPS with a certificate authority in this folder, made on the first start; its ca.pem is for those who call. Default: HTTP, as all that crosses is signed."`
	Metrics string   `name:"metrics-listen" placeholder:"HOST:PORT" help:"Where /metrics is, on loopback and in plaintext; default: nowhere."`
	TLSName []string `name:"tls-name" placeholder:"NAME" help:"Name or address in the certificate; default localhost. May be given more than once."`
}

// Run runs the witness until it is told to stop.
func (c *witnessRun) Run(e *env) error {
	names := c.TLSName
	if len(names) == 0 {
		names = tlsca.DefaultNames()
	}
	return witnessapp.Run(e.ctx, witnessapp.Options{Arena: e.arena, Key: c.File, State: c.State, Logs: c.Logs, Listen: c.Listen, Metrics: c.Metrics, TLSDir: c.TLSDir, TLSNames: names,
		Passphrase: func() (secret.Bytes, error) {
			return e.passphrase(c.PassphraseFD, fmt.Sprintf("Passphrase of %s: ", c.File), "--passphrase-fd")
		},
		Now: time.Now, Log: slog.New(slog.NewJSONHandler(e.Err, nil)), Ready: func(url string) { fmt.Fprintf(e.Out, "ready %s\n", url) }})
}

type witnessShow struct {
	File  string `name:"witness-key" required:"" placeholder:"FILE" help:"File of the witness's key; only FILE.vkey is read."`
	State string `placeholder:"DIR" help:"Folder of what the witness remembers."`
	Logs  string `placeholder:"FILE" help:"The accepted logs; with --state."`
}

// Run shows it.
func (c *witnessShow) Run(e *env) error {
	k, err := witnessapp.ReadVKey(c.File)
	if err != nil {
		return err
	}
	out := struct {
		VKey string             `json:"vkey"`
		Logs []witnessapp.Known `json:"logs"`
	}{k.String(), []witnessapp.Known{}}
	if (c.State == "") != (c.Logs == "") {
		return usage("--state and --logs belong together")
	}
	if c.State != "" {
		if out.Logs, err = witnessapp.Show(e.ctx, c.State, c.Logs); err != nil {
			return hint(err, "while the witness runs, GET its address/SHA-256-OF-ORIGIN/checkpoint shows the same")
		}
	}
	return e.show(out, func() error {
		ps := []pair{{"vkey", out.VKey}}
		for _, l := range out.Logs {
			what := "nothing cosigned yet"
			if l.Cosigned {
				what = fmt.Sprintf("%d entries, root %s", l.Size, l.Root)
			}
			ps = append(ps, pair{"log " + l.Origin, what})
		}
		return e.pairs(ps)
	})
}
