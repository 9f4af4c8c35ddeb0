// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"strongroom/internal/app/coreapp"
	"strongroom/internal/core/hsm/passphrase"
	"strongroom/internal/pure/custody"
)

// coldFlags are those of the commands of an offline domain.
type coldFlags struct {
	o                      coreapp.Options
	name, authority        string
	profile, out           string
	bundle, to, from       string
	manifest, cause        string
	passFD, unlockFD       *int
	questionsFD, repliesFD int
}

func (c *coldFlags) parse(command string, args []string, stderr io.Writer) error {
	f := flag.NewFlagSet("strongroom-core cold "+command, flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&c.o.Data, "data", "", "folder of the domain")
	c.passFD = f.Int("passphrase-fd", -1, "read the passphrase from this file descriptor")
	c.unlockFD = rootFlags(f, &c.o)
	f.StringVar(&c.o.Anchor, "anchor", "", "create: where the head of the log is kept: file (evaluation) or tpm; default file")
	f.StringVar(&c.o.TPM, "tpm", "", "device of the TPM, or socket of an emulator; default /dev/tpmrm0")
	f.StringVar(&c.o.TPMPCRs, "tpm-pcrs", coreapp.DefaultPCRs, "PCRs of the SHA-256 bank that a new tpm2 root is bound to, with commas, or none")
	f.IntVar(&c.o.Memory, "memory", 0, "bytes of locked memory for keys; 0 is 16 MiB")
	f.DurationVar(&c.o.ClockBound, "clock-bound", 0, "what to take as the error of the system clock; 0 is 1s")
	f.StringVar(&c.o.FailSelfTest, "fail-self-test", "", "make the self-test of this name fail: nothing is opened then, which shows that the control works")
	f.BoolVar(&c.o.WeakPassphraseUnsafe, "weak-passphrase-unsafe", false, "make guessing the passphrase of a new root cheap; for tests")
	f.StringVar(&c.name, "name", "", "create: what people call the domain")
	f.StringVar(&c.authority, "authority", "", "create: id of the authority that it follows, 64 hex digits")
	f.StringVar(&c.profile, "profile", string(custody.Evaluation), "create: evaluation or production, as the authority's")
	f.StringVar(&c.out, "out", "", "create, genesis: where the genesis is written; sign: where the answer is")
	f.StringVar(&c.bundle, "bundle", "", "sign: file of the bundle; restore: file of a full one, which completes a backup that is behind")
	f.IntVar(&c.questionsFD, "questions-fd", -1, "sign, restore: write questions to the operators' program to this file descriptor")
	f.IntVar(&c.repliesFD, "replies-fd", -1, "sign, restore: read its replies from this file descriptor")
	f.StringVar(&c.cause, "cause", "asked for", "zeroize: why, for the log")
	f.StringVar(&c.to, "to", "", "backup: folder; sign: folder of a backup that is added to before the answer is in its place; default: none")
	f.StringVar(&c.from, "from", "", "restore: folder of the backup")
	f.StringVar(&c.manifest, "manifest", "", "restore: name of a manifest in that folder; default: the newest")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q is not understood; see strongroom-core cold %s --help", f.Arg(0), command)
	}
	if c.o.Data == "" {
		return errors.New("--data is required: the folder of the domain")
	}
	return nil
}

// runCold does the work of an offline domain: each command opens it, works, and ends.
func runCold(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("cold what? create, genesis, sign, status, zeroize, backup or restore")
	}
	c := &coldFlags{o: coreapp.Options{Log: slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}}
	if err := c.parse(args[0], args[1:], stderr); err != nil {
		return err
	}
	c.o.Passphrase = passphrase.Source{FD: *c.passFD, Credentials: os.Getenv("CREDENTIALS_DIRECTORY"), Terminal: os.Stdin, Prompt: stderr}
	c.o.PKCS11.Unlock = unlockSecret(*c.unlockFD)
	report, err := c.do(ctx, args[0], stderr)
	if err != nil || report == nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(report)
}

// need refuses an empty flag.
func need(name, value string) error {
	if value == "" {
		return fmt.Errorf("--%s is required", name)
	}
	return nil
}

func (c *coldFlags) do(ctx context.Context, command string, stderr io.Writer) (any, error) {
	switch command {
	case "create":
		return c.create(ctx)
	case "genesis":
		if err := need("out", c.out); err != nil {
			return nil, err
		}
		return nil, coreapp.ColdGenesis(ctx, c.o, c.out)
	case "sign":
		if err := errors.Join(need("bundle", c.bundle), need("out", c.out)); err != nil {
			return nil, err
		}
		return coreapp.ColdSign(ctx, c.o, c.bundle, c.out, c.to, c.people(stderr))
	case "status":
		return coreapp.ColdStatus(ctx, c.o)
	case "zeroize":
		return nil, coreapp.ColdZeroize(ctx, c.o, c.cause)
	case "backup":
		if err := need("to", c.to); err != nil {
			return nil, err
		}
		return coreapp.ColdBackup(ctx, c.o, c.to)
	case "restore":
		if err := need("from", c.from); err != nil {
			return nil, err
		}
		return coreapp.ColdRestore(ctx, c.o, c.from, c.manifest, c.bundle, c.people(stderr))
	default:
		return nil, fmt.Errorf("cold %q is not known; see strongroom-core --help", command)
	}
}

// people are those at the machine, if a program speaks for them.
func (c *coldFlags) people(stderr io.Writer) coreapp.ColdPeople {
	if c.questionsFD < 0 || c.repliesFD < 0 {
		return coreapp.ColdOperators(stderr, nil, nil)
	}
	return coreapp.ColdOperators(stderr, os.NewFile(uintptr(c.questionsFD), "questions"), os.NewFile(uintptr(c.repliesFD), "replies"))
}

func (c *coldFlags) create(ctx context.Context) (any, error) {
	if err := errors.Join(need("name", c.name), need("authority", c.authority), need("out", c.out)); err != nil {
		return nil, err
	}
	a, err := custody.ParseAuthorityID(c.authority)
	if err != nil {
		return nil, err
	}
	id, err := coreapp.ColdCreate(ctx, c.o, coreapp.ColdNew{Authority: a, Profile: custody.Profile(c.profile), Name: c.name, Out: c.out})
	if err != nil {
		return nil, err
	}
	return map[string]string{"domain": id.String(), "name": c.name, "authority": c.authority, "genesis": c.out}, nil
}
