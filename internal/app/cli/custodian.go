// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/term"

	"strongroom/internal/app/ceremonyfile"
	"strongroom/internal/app/ritual"
	custodian "strongroom/internal/core/ceremony"
	"strongroom/internal/core/ceremony/cardkey"
	"strongroom/internal/edge/agefile"
	"strongroom/internal/pure/ceremony"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/share"
	"strongroom/internal/secret"
)

// custodianCmd is what custodians do, on machines of their own.
type custodianCmd struct {
	Key     custodianKey     `cmd:"" help:"Make the key that opens your share, and print its recipient for the script; or print that of a key in a token."`
	Check   custodianCheck   `cmd:"" help:"Open your share and check it."`
	Receipt custodianReceipt `cmd:"" help:"Open your new share, check it, and sign the receipt."`
	Words   custodianWords   `cmd:"" help:"Show your share as words, for paper. Who has the words has the share."`
	HandIn  custodianHandIn  `cmd:"" name:"hand-in" help:"Encrypt your share to the core of a restore, a drill or a change of custodians."`
}

// cardFlags name a key in a token of the custodian's own.
type cardFlags struct {
	PKCS11Module string `name:"pkcs11-module" placeholder:"PATH" help:"Library of a token or PIV card with your P-256 key."`
	PKCS11Token  string `name:"pkcs11-token" placeholder:"LABEL" help:"Label of the token, if there are several."`
	PKCS11Key    string `name:"pkcs11-key" placeholder:"LABEL" help:"Label of the key, if there are several."`
	PinFD        int    `name:"pin-fd" default:"-1" placeholder:"N" help:"Read the token's PIN from this file descriptor; default: the terminal."`
}

// open logs in to the token.
func (f cardFlags) open(e *env) (*cardkey.Key, error) {
	pin, err := e.passphrase(f.PinFD, "PIN of the token: ", "--pin-fd")
	if err != nil {
		return nil, err
	}
	defer pin.Wipe()
	k, err := cardkey.Open(cardkey.Config{Library: f.PKCS11Module, Token: f.PKCS11Token, Key: f.PKCS11Key}, pin)
	if err != nil {
		return nil, err
	}
	e.closer = append(e.closer, k.Close)
	return k, nil
}

// openerFlags say what opens a share.
type openerFlags struct {
	IdentityFile string `name:"identity-file" short:"i" placeholder:"FILE" help:"File of your age identity ('strongroom custodian key' made it)."`
	IdentityFD   int    `name:"identity-passphrase-fd" default:"-1" placeholder:"N" help:"Read its passphrase from this file descriptor; default: the terminal."`
	cardFlags
}

// opener gives what opens the share.
func (f openerFlags) opener(e *env) (custodian.Opener, error) {
	switch card := f.PKCS11Module != ""; {
	case card == (f.IdentityFile != ""):
		return custodian.Opener{}, usage("either --identity-file or --pkcs11-module: where is the key that opens your share?")
	case card:
		k, err := f.cardFlags.open(e)
		if err != nil {
			return custodian.Opener{}, err
		}
		return custodian.P256Opener(k), nil
	}
	text, err := agefile.Read(e.arena, f.IdentityFile, func() (secret.Bytes, error) {
		return e.passphrase(f.IdentityFD, fmt.Sprintf("Passphrase of %s: ", f.IdentityFile), "--identity-passphrase-fd")
	})
	if err != nil {
		return custodian.Opener{}, err
	}
	defer text.Wipe()
	return custodian.ParseAgeOpener(text)
}

// share opens and checks a share.
func (f openerFlags) share(e *env, path string) (*custodian.Opened, error) {
	b, err := e.readInput(path)
	if err != nil {
		return nil, err
	}
	o, err := f.opener(e)
	if err != nil {
		return nil, err
	}
	opened, err := custodian.OpenShare(e.arena, b, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	e.closer = append(e.closer, opened.Wipe)
	return opened, nil
}

type custodianKey struct {
	Out          string `placeholder:"FILE" help:"New file for the key, such as carl.age."`
	NoPassphrase bool   `help:"Keep the key unencrypted: for exercises."`
	PassphraseFD int    `name:"passphrase-fd" default:"-1" placeholder:"N" help:"Read the new passphrase from this file descriptor; default: the terminal."`
	WeakUnsafe   bool   `name:"weak-passphrase-unsafe" help:"The passphrase is cheap to guess; for tests."`
	cardFlags
}

// weakWork is scrypt's work factor for tests.
const weakWork = 10

// Run makes the key, or finds it in a token, and prints the recipient.
func (c *custodianKey) Run(e *env) error {
	recipient, err := c.recipient(e)
	if err != nil {
		return err
	}
	e.say("The recipient goes into the script of the ceremony; it is public.")
	return e.show(map[string]string{"recipient": recipient}, func() error { _, err := fmt.Fprintln(e.Out, recipient); return err })
}

func (c *custodianKey) recipient(e *env) (string, error) {
	if (c.PKCS11Module != "") == (c.Out != "") {
		return "", usage("either --out, for a new key in a file, or --pkcs11-module, for a key in a token")
	}
	if c.PKCS11Module != "" {
		k, err := c.cardFlags.open(e)
		if err != nil {
			return "", err
		}
		r, err := custodian.P256Recipient(k.PublicKey())
		return r.String(), err
	}
	if _, err := os.Lstat(c.Out); !errors.Is(err, fs.ErrNotExist) {
		return "", hint(errors.Join(err, agefile.ErrExists), "choose another --out")
	}
	var pass secret.Bytes
	if !c.NoPassphrase {
		var err error
		if pass, err = e.choosePassphrase(c.PassphraseFD, c.Out, "--passphrase-fd"); err != nil {
			return "", err
		}
		defer pass.Wipe()
	}
	work := 0
	if c.WeakUnsafe {
		work = weakWork
	}
	recipient, err := agefile.New(c.Out, pass, work)
	if err == nil {
		e.say("The key is in %s. Without it your share is worth nothing: keep it, and a copy, apart from the share.", c.Out)
	}
	return recipient, err
}

type custodianCheck struct {
	openerFlags
	Share  string `arg:"" help:"Your sealed share."`
	Record string `placeholder:"FILE" help:"Recovery record that the domain names (recovery.cbor): the share must be of it."`
}

// Run opens and checks.
func (c *custodianCheck) Run(e *env) error {
	o, err := c.openerFlags.share(e, c.Share)
	if err != nil {
		return err
	}
	if c.Record != "" {
		r, err := readRecord(c.Record)
		if err != nil {
			return err
		}
		x, err := expectOf(r)
		if err == nil {
			err = o.Expect(x)
		}
		if err != nil {
			return hint(err, "is it an old share? After a change of custodians the old shares are worth nothing to the domain, and are destroyed")
		}
	}
	h := o.Commitments.Hash()
	m := o.Meta
	e.say("The share opens, and fits the commitments: with any %d of the %d the master secret comes back.", m.Threshold, m.Shares)
	return e.show(map[string]any{"custodian": m.Custodian, "index": m.Index, "threshold": m.Threshold, "shares": m.Shares, "sharing": hex.EncodeToString(h[:]), "ceremony": hex.EncodeToString(m.Ceremony[:]), "compared": c.Record != ""}, func() error {
		return e.pairs([]pair{{"custodian", m.Custodian}, {"share", fmt.Sprintf("%d of %d, %d are needed", m.Index, m.Shares, m.Threshold)}, {"sharing", ceremonyfile.Groups(h)}, {"ceremony", ceremonyfile.Groups(m.Ceremony)}})
	})
}

func readRecord(path string) (request.Recovery, error) {
	var r request.Recovery
	return r, readCanonical(path, "recovery record", &r)
}

// expectOf gives what a recovery record names.
func expectOf(r request.Recovery) (custodian.Expect, error) {
	c, err := share.Parse(share.Scheme{Threshold: uint8(r.Threshold), Shares: uint8(r.Shares)}, r.Commitments)
	if err != nil {
		return custodian.Expect{}, err
	}
	return custodian.Expect{Sharing: c.Hash(), Recovery: sha256.Sum256(r.Public)}, nil
}

type custodianReceipt struct {
	openerFlags
	Share  string `arg:"" help:"Your sealed share."`
	Record string `required:"" placeholder:"FILE" help:"What the administrator's machine wrote for you (in to-sign)."`
	Out    string `placeholder:"FILE" help:"Signed file; default: beside the record, as NAME.signed."`
	Yes    bool   `short:"y" help:"Do not ask."`
}

// Run opens, checks, and signs.
func (c *custodianReceipt) Run(e *env) error {
	f, t, err := readToSign(e, c.Record)
	if err != nil {
		return err
	}
	o, err := c.openerFlags.share(e, c.Share)
	if err != nil {
		return err
	}
	showToSign(e, f, t)
	e.say("Your share opens, and fits the commitments.")
	if err := e.confirm(c.Yes, fmt.Sprintf("Sign the receipt as %s?", f.Name)); err != nil {
		return err
	}
	k, err := e.signer()
	if err != nil {
		return err
	}
	s, err := ritual.SignReceipt(f, t, k, func(head [32]byte) (ceremony.Receipt, error) { return ceremony.Receipt{Share: o.Receipt(head)}, nil })
	if err != nil {
		return err
	}
	return writeSigned(e, c.Record, c.Out, s)
}

type custodianWords struct {
	openerFlags
	Share string `arg:"" help:"Your sealed share."`
	Out   string `name:"out-unsafe" placeholder:"FILE" help:"Write the words to a file. Who reads the file has your share."`
	Yes   bool   `short:"y" help:"Do not ask."`
}

// Run shows the words, at a terminal only unless it is told otherwise.
func (c *custodianWords) Run(e *env) error {
	out, _ := e.Out.(*os.File)
	if c.Out == "" && (out == nil || !term.IsTerminal(int(out.Fd()))) {
		return hint(errors.New("the words are your share, and standard output is no terminal"), "run it at a terminal, or say where they go with --out-unsafe")
	}
	o, err := c.openerFlags.share(e, c.Share)
	if err != nil {
		return err
	}
	if err := e.confirm(c.Yes, "The words are your share: who sees them has it. Is nobody behind you, and no camera?"); err != nil {
		return err
	}
	w, err := o.Words()
	if err != nil {
		return err
	}
	defer w.Wipe()
	return w.Use(func(b []byte) error {
		text := wordRows(b)
		defer clear(text)
		if c.Out != "" {
			return e.create(c.Out, text, 0o600)
		}
		_, err := e.Out.Write(text)
		return err
	})
}

// wordsInRow is how many words stand in a line.
const wordsInRow = 6

// wordRows writes words in numbered rows. The result is secret.
func wordRows(b []byte) []byte {
	out := make([]byte, 0, 2*len(b)+256) // never grows, which would leave a copy
	n := 0
	for i := 0; i < len(b); {
		j := i
		for j < len(b) && b[j] != ' ' {
			j++
		}
		if n%wordsInRow == 0 {
			out = fmt.Appendf(out, "%2d ", n+1)
		}
		out = append(append(out, ' '), b[i:j]...)
		if n++; n%wordsInRow == 0 {
			out = append(out, '\n')
		}
		i = j + 1
	}
	if n%wordsInRow != 0 {
		out = append(out, '\n')
	}
	return out
}

type custodianHandIn struct {
	openerFlags
	Share       string `arg:"" optional:"" help:"Your sealed share; left out with --words-fd or --words."`
	Words       bool   `help:"Type the words of your share instead. Needs --record and --name."`
	WordsFD     int    `name:"words-fd" default:"-1" placeholder:"N" help:"Read the words from this file descriptor. Needs --record and --name."`
	Record      string `placeholder:"FILE" help:"With words: the recovery record in force (recovery.cbor)."`
	Name        string `placeholder:"NAME" help:"With words: your name, as in the script."`
	Importer    string `required:"" placeholder:"FILE" help:"Key of this load (importer.cbor)."`
	Fingerprint string `placeholder:"HEX" help:"Its fingerprint, as the core shows it; default: you are asked to compare."`
	Out         string `required:"" placeholder:"FILE" help:"Encrypted share, for the folder 'parts', as NAME.part."`
}

// Run compares the key's fingerprint, and seals the share to it.
func (c *custodianHandIn) Run(e *env) error {
	b, err := e.readInput(c.Importer)
	if err != nil {
		return err
	}
	key, err := share.DecodeImporter(b)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Importer, err)
	}
	h := key.Fingerprint()
	if c.Fingerprint != "" && strings.Join(strings.Fields(strings.ToLower(c.Fingerprint)), "") != hex.EncodeToString(h[:]) {
		return hint(fmt.Errorf("the key has the fingerprint %x, not the one given; nothing was encrypted", h), "somebody exchanged the key, or it is of another load: ask at the core")
	}
	e.say("Fingerprint of the key of this load:")
	e.say("    %s", ceremonyfile.Groups(h))
	if err := e.confirm(c.Fingerprint != "", "Does the core show the same? Your share goes to whoever has this key."); err != nil {
		return err
	}
	o, err := c.opened(e)
	if err != nil {
		return err
	}
	part, err := o.HandIn(b)
	if err != nil {
		return err
	}
	if err := e.create(c.Out, part, 0o600); err != nil {
		return err
	}
	e.say("Share %d of %s is in %s, encrypted to that key and worth nothing elsewhere.", o.Meta.Index, o.Meta.Custodian, c.Out)
	return nil
}

// opened gives the share, of a file or of words.
func (c *custodianHandIn) opened(e *env) (*custodian.Opened, error) {
	if !c.Words && c.WordsFD < 0 {
		if c.Share == "" {
			return nil, usage("which share? Give its file, or --words")
		}
		return c.openerFlags.share(e, c.Share)
	}
	if c.Record == "" || c.Name == "" {
		return nil, usage("words need --record and --name: they say what the words are of")
	}
	r, err := readRecord(c.Record)
	if err != nil {
		return nil, err
	}
	commitments, err := share.Parse(share.Scheme{Threshold: uint8(r.Threshold), Shares: uint8(r.Shares)}, r.Commitments)
	if err != nil {
		return nil, err
	}
	words, err := e.passphrase(c.WordsFD, "The words, with spaces; they are not shown: ", "--words-fd")
	if err != nil {
		return nil, err
	}
	if words, err = e.withoutNumbers(words); err != nil {
		return nil, err
	}
	defer words.Wipe()
	o, err := custodian.FromWords(e.arena, share.NewMeta([32]byte{}, commitments, 0, c.Name, sha256.Sum256(r.Public)), words)
	if err != nil {
		return nil, err
	}
	e.closer = append(e.closer, o.Wipe)
	return o, nil
}

// withoutNumbers puts spaces in the place of the numbers before rows of words, and of line ends. It wipes text.
func (e *env) withoutNumbers(text secret.Bytes) (secret.Bytes, error) {
	defer text.Wipe()
	return secret.New(e.arena, text.Len(), func(to []byte) error {
		return text.Use(func(b []byte) error {
			for i, c := range b {
				if c < 'A' {
					c = ' '
				}
				to[i] = c
			}
			return nil
		})
	})
}
