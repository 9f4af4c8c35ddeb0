// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/request"
)

// coldOnline is asked of the online domain.
type coldOnline struct {
	List   coldList   `cmd:"" help:"The offline domains, and which wallets' keys are there."`
	Add    coldAdd    `cmd:"" help:"Ask to take an offline domain in, by the file that its machine has written; people must approve it."`
	Remove coldRemove `cmd:"" help:"Ask to give an offline domain up, that holds no wallet; people must approve it."`
	Export coldExport `cmd:"" help:"Write a bundle: what an offline domain has to know and to sign. It is taken there within 24 hours."`
	Import coldImport `cmd:"" help:"Take in the result that an offline domain has written."`
}

type coldList struct{}

// Run lists.
func (c *coldList) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	list, err := cl.OfflineDomains(e.ctx)
	if err != nil {
		return err
	}
	if list == nil {
		list = []client.OfflineDomain{}
	}
	return e.show(list, func() error {
		var rows [][]string
		for _, d := range list {
			var wallets []string
			for _, w := range d.Wallets {
				way := w.Way
				if w.Missing {
					way += ", SEED LOST THERE"
				}
				wallets = append(wallets, string(w.Wallet)+" ("+way+")")
			}
			state := "ready"
			switch {
			case d.Zeroized:
				state = "zeroized"
			case d.Busy:
				state = "a key is on its way"
			}
			rows = append(rows, []string{d.Name, d.ID[:16], strings.Join(wallets, ", "), fmt.Sprint(d.Open), fmt.Sprint(d.Number), state})
		}
		return e.table([]string{"offline domain", "id", "wallets", "to sign", "bundles", "state"}, rows)
	})
}

type coldAdd struct {
	File string `arg:"" type:"existingfile" help:"File that 'strongroom-core cold create' has written."`
	Name string `placeholder:"NAME" help:"How people call it; default: the name in the file."`
	sending
}

// Run asks.
func (c *coldAdd) Run(e *env) error {
	b, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	body, err := genesisOf(b)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.Name != "" {
		body.Name = c.Name
	}
	return askAbout(e, c.sending, statusLife, func(l client.Life) (client.Body, error) {
		body.Counter = l.Counter + 1
		return body, nil
	})
}

// genesisOf reads the first entry of an offline domain.
func genesisOf(b []byte) (*client.OfflineAdd, error) {
	var r offline.Record
	if err := canon.Decode(b, &r); err != nil {
		return nil, fmt.Errorf("this is no first entry of an offline domain: %w", err)
	}
	s, err := offline.OpenGenesis(r)
	if err != nil {
		return nil, err
	}
	return &client.OfflineAdd{Name: s.Name, Leaf: r.Leaf, Salt: r.Salt, Body: r.Body}, nil
}

type coldRemove struct {
	Name string `arg:"" help:"Name or id of the offline domain."`
	sending
}

// Run asks.
func (c *coldRemove) Run(e *env) error {
	id, err := offlineID(e, c.Name)
	if err != nil {
		return err
	}
	return askAbout(e, c.sending, statusLife, func(l client.Life) (client.Body, error) {
		return &client.OfflineRemove{Counter: l.Counter + 1, Domain: id}, nil
	})
}

// offlineID gives the id of an offline domain by name or id.
func offlineID(e *env, name string) ([]byte, error) {
	if id, err := hex.DecodeString(name); err == nil && len(id) == 32 {
		return id, nil
	}
	cl, err := e.client()
	if err != nil {
		return nil, err
	}
	list, err := cl.OfflineDomains(e.ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		if d.Name == name {
			return hex.DecodeString(d.ID)
		}
	}
	return nil, hint(fmt.Errorf("no offline domain is called %q", name), "'strongroom cold list' shows them")
}

type coldExport struct {
	To   string `required:"" placeholder:"FILE" help:"Where the bundle is written; must not exist."`
	Name string `placeholder:"NAME" help:"Name or id of the offline domain; default: the only one."`
	Full bool   `help:"With the whole log: the first bundle, and where the offline machine says that it lacks entries."`
}

// Run writes the bundle, complete or not at all.
func (c *coldExport) Run(e *env) (err error) {
	cl, err := e.client()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(c.To); err == nil {
		return fmt.Errorf("%s exists", c.To)
	}
	f, err := os.CreateTemp(filepath.Dir(c.To), ".bundle-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	b, err := cl.ExportBundle(e.ctx, f, c.Name, c.Full)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Rename(f.Name(), c.To)
	}
	if err != nil {
		return err
	}
	return e.show(b, func() error {
		return e.pairs([]pair{{"bundle", fmt.Sprintf("%d to the offline domain %q, %s", b.Number, b.Name, b.Domain)}, {"file", c.To},
			{"log", fmt.Sprintf("entries %d to %d", b.From, b.Size)}, {"to sign", fmt.Sprintf("%d permits", b.Permits)}, {"keys", fmt.Sprint(b.Copies)},
			{"take it there before", words.Unix(b.NotAfter)}})
	})
}

type coldImport struct {
	File string `arg:"" type:"existingfile" help:"Result that 'strongroom-core cold sign' has written."`
}

// Run takes it in.
func (c *coldImport) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, message.MaxResult+1))
	if err != nil {
		return err
	}
	if len(b) > message.MaxResult {
		return errors.New(c.File + ": no result is so large")
	}
	r, err := cl.ImportResult(e.ctx, b)
	if err != nil {
		return err
	}
	return e.show(r, func() error {
		ps := []pair{{"from", fmt.Sprintf("%s, %s", r.Name, r.Domain)}, {"entry", fmt.Sprint(r.Entry)}}
		for _, id := range r.Signed {
			ps = append(ps, pair{"signed", id})
		}
		for _, w := range r.MovedIn {
			ps = append(ps, pair{"key arrived there", string(w)})
		}
		for _, w := range r.MovedOut {
			ps = append(ps, pair{"key came back", string(w)})
		}
		for _, x := range r.Lost {
			ps = append(ps, lostPair(x))
		}
		if b := r.SetBack; b != nil {
			ps = append(ps, pair{"IT WAS SET BACK", fmt.Sprintf("to %d of its entries, and took %d back; what it had done behind entry %d without a result, nobody knows", b.From, b.To-b.From, b.To-1)})
			for _, w := range b.Missing {
				ps = append(ps, pair{"seed lost there", string(w)})
			}
		}
		for _, x := range r.Refused {
			ps = append(ps, pair{"not done", fmt.Sprintf("entry %d: %s: %s", x.Entry, x.Kind, x.Detail)})
		}
		return e.pairs(ps)
	})
}

// lostPair tells of something that was done under a lost entry.
func lostPair(x client.OfflineLost) pair {
	what := fmt.Sprintf("entry %d, wallet %s: ", x.Entry, x.Wallet)
	switch {
	case x.Came:
		what += "its key came there"
	case x.Left:
		what += "its key left there"
	case x.Account != "":
		what += fmt.Sprintf("nonce %d of %s, %s", x.Nonce, x.Account, cmp.Or(x.TxID, "not signed"))
	default:
		what += fmt.Sprintf("%d inputs, %s", x.Inputs, cmp.Or(x.TxID, "not signed"))
	}
	return pair{"done under a lost entry", what}
}

type walletMove struct {
	Name        string `arg:"" help:"Wallet."`
	To          string `arg:"" help:"Name or id of an offline domain, or 'online': back to this domain."`
	Temperature string `default:"hot" enum:"hot,warm" help:"Of a wallet that comes back: hot or warm."`
	sending
}

// Run asks.
func (c *walletMove) Run(e *env) error {
	b := &client.WalletMove{Wallet: client.WalletID(c.Name), Temperature: request.Cold}
	var err error
	if c.To == "online" {
		b.Temperature = request.Temperature(c.Temperature)
		b.To, err = onlineID(e)
	} else {
		b.To, err = offlineID(e, c.To)
	}
	if err != nil {
		return err
	}
	cl, err := e.client()
	if err != nil {
		return err
	}
	return c.send(e, cl, b)
}

// onlineID gives the id of the domain that serve serves.
func onlineID(e *env) ([]byte, error) {
	cl, err := e.client()
	if err != nil {
		return nil, err
	}
	s, err := cl.Status(e.ctx)
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(s.Domain)
}
