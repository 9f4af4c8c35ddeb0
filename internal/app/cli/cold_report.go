// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strconv"

	"strongroom/internal/app/words"
	"strongroom/internal/pure/custody"
)

// coldReport is what strongroom-core says of a bundle.
type coldReport struct {
	Domain   string             `json:"domain"`
	Number   uint64             `json:"number"`
	Entries  uint64             `json:"entries"`
	Again    bool               `json:"again,omitempty"`
	MovedIn  []custody.WalletID `json:"movedIn,omitempty"`
	MovedOut []custody.WalletID `json:"movedOut,omitempty"`
	Signed   []coldSigned       `json:"signed,omitempty"`
	Refused  []struct {
		Entry  uint64 `json:"entry"`
		Kind   string `json:"kind"`
		Detail string `json:"detail"`
	} `json:"refused,omitempty"`
	Waiting int    `json:"waiting,omitempty"`
	Size    uint64 `json:"size"`
	Result  string `json:"result"`

	Reanchored *coldReanchored `json:"reanchored,omitempty"`
}

// coldSigned is a permit that has its result.
type coldSigned struct {
	Entry   uint64 `json:"entry"`
	Request string `json:"request"`
	TxID    string `json:"txid"`
}

// coldReanchored says how the authority's log was re-anchored.
type coldReanchored struct {
	Entries []struct {
		Incarnation uint64 `json:"incarnation"`
		Entry       uint64 `json:"entry"`
		Time        int64  `json:"time"`
		Reason      string `json:"reason"`
		Whole       bool   `json:"whole,omitempty"`
		By          []struct {
			Person  string `json:"person"`
			Removed bool   `json:"removed,omitempty"`
		} `json:"by"`
	} `json:"entries"`
	Had     uint64             `json:"had"`
	Kept    uint64             `json:"kept"`
	Gone    bool               `json:"gone,omitempty"`
	Permits []coldLost         `json:"permits,omitempty"`
	Came    []custody.WalletID `json:"came,omitempty"`
	Left    []custody.WalletID `json:"left,omitempty"`
}

// coldLost is a permit whose entry the authority's log has lost.
type coldLost struct {
	Entry   uint64           `json:"entry"`
	Request string           `json:"request"`
	Wallet  custody.WalletID `json:"wallet"`
	Account string           `json:"account,omitempty"`
	Nonce   uint64           `json:"nonce,omitempty"`
	Inputs  int              `json:"inputs,omitempty"`
	TxID    string           `json:"txid,omitempty"`
	Signed  string           `json:"signed,omitempty"`
}

func (l coldLost) pair() pair {
	what := "not signed"
	if l.TxID != "" {
		what = l.TxID
	}
	slot := fmt.Sprintf("%d inputs", l.Inputs)
	if l.Account != "" {
		slot = fmt.Sprintf("nonce %d of %s", l.Nonce, l.Account)
	}
	return pair{"lost permit", fmt.Sprintf("%d  wallet %s, %s: %s", l.Entry, l.Wallet, slot, what)}
}

func (r coldReport) pairs() []pair {
	out := []pair{{"offline domain", r.Domain}, {"bundle", strconv.FormatUint(r.Number, 10)}, {"entries imported", strconv.FormatUint(r.Entries, 10)}}
	if x := r.Reanchored; x != nil && len(x.Entries) > 0 {
		out = append(out, pair{"re-anchored", fmt.Sprintf("incarnation %d; of %d entries that were imported %d are kept", x.Entries[len(x.Entries)-1].Incarnation, x.Had, x.Kept)})
		for _, l := range x.Permits {
			out = append(out, l.pair())
		}
	}
	for _, w := range r.MovedIn {
		out = append(out, pair{"came", string(w)})
	}
	for _, w := range r.MovedOut {
		out = append(out, pair{"left", string(w)})
	}
	for _, s := range r.Signed {
		out = append(out, pair{"signed", fmt.Sprintf("%d  %s", s.Entry, s.TxID)})
	}
	for _, s := range r.Refused {
		out = append(out, pair{"not done", fmt.Sprintf("%d  %s: %s", s.Entry, s.Kind, s.Detail)})
	}
	if r.Waiting > 0 {
		out = append(out, pair{"waiting for operators", strconv.Itoa(r.Waiting)})
	}
	return append(out, pair{"result", r.Result})
}

type coldStatus struct{ coreFlags }

// coldStanding is what strongroom-core says.
type coldStanding struct {
	Domain    string             `json:"domain"`
	Name      string             `json:"name"`
	Authority string             `json:"authority"`
	Profile   string             `json:"profile"`
	Entries   uint64             `json:"entries"`
	Import    uint64             `json:"import"`
	Imported  uint64             `json:"imported"`
	Time      int64              `json:"importTime"`
	Full      bool               `json:"needsFull"`
	Wallets   []custody.WalletID `json:"wallets"`
	Unsigned  int                `json:"unsigned"`
	Copies    bool               `json:"recoveryCopies"`
	Zeroized  bool               `json:"zeroized"`
	Locked    bool               `json:"workingKeyAbsent"`
	Missing   []custody.WalletID `json:"missing"`

	Incarnation uint64     `json:"incarnation"`
	Lost        []coldLost `json:"lost,omitempty"`

	SetBack string     `json:"setBack,omitempty"`
	Gap     *coldGap   `json:"gap,omitempty"`
	Maybe   []coldLost `json:"maybe,omitempty"`
}

// coldGap is what a domain's log says of the last time that it was set back.
type coldGap struct {
	From    uint64 `json:"from"`
	To      uint64 `json:"to"`
	Dropped uint64 `json:"dropped,omitempty"`
	Bundle  uint64 `json:"bundle"`
	Key     bool   `json:"importKeyLost,omitempty"`
}

// next says what to do now.
func (s coldStanding) next() string {
	switch {
	case s.Zeroized || s.Locked:
		return "custodians bring the working key back: a ceremony, from this domain's backup"
	case s.SetBack != "":
		return "restore the newest backup; if it is this one: online 'strongroom cold import' what is left, 'strongroom cold export --full --to B'; here 'strongroom cold restore --from BACKUP --data NEW --bundle B'"
	case s.Import == 0 || s.Full:
		return "online 'strongroom cold export --full --to B'; here 'strongroom cold sign B'"
	case len(s.Missing) > 0:
		return "look for a newer copy of the seeds that are missing: a backup, or the folder 'blobs' of a disk"
	default:
		return "online 'strongroom cold export --to B'; here 'strongroom cold sign B'"
	}
}

// Run asks the core.
func (c *coldStatus) Run(e *env) error {
	pass, err := c.passphrase(e, false)
	if err != nil {
		return err
	}
	defer pass.Wipe()
	var s coldStanding
	if err := e.runCold(c.coreFlags, pass, &s, "status"); err != nil {
		return err
	}
	return e.show(s, func() error { return e.pairs(s.pairs()) })
}

func (s coldStanding) pairs() []pair {
	yes := map[bool]string{true: "yes", false: "no"}
	out := []pair{{"offline domain", s.Domain}, {"name", s.Name}, {"authority", s.Authority}, {"profile", s.Profile}, {"entries", strconv.FormatUint(s.Entries, 10)}}
	last := "nothing was imported"
	if s.Import > 0 {
		last = fmt.Sprintf("bundle %d, %d entries, of %s", s.Import, s.Imported, words.Unix(s.Time))
	}
	out = append(out, pair{"imported", last}, pair{"incarnation followed", strconv.FormatUint(s.Incarnation, 10)}, pair{"next bundle", map[bool]string{true: "a full one (--full)", false: "what is new"}[s.Full]})
	for _, w := range s.Wallets {
		what := "here"
		if slices.Contains(s.Missing, w) {
			what = "MISSING: a newer backup, or copy of the folder 'blobs', may have its seed"
		}
		out = append(out, pair{"wallet " + string(w), what})
	}
	for _, l := range s.Lost {
		out = append(out, l.pair())
	}
	if s.SetBack != "" {
		out = append(out, pair{"SET BACK", s.SetBack})
	}
	if g := s.Gap; g != nil {
		out = append(out, pair{"was set back", fmt.Sprintf("to %d entries, and took %d back with bundle %d; %d permits may be signed by entries that nobody has", g.From, g.To-g.From, g.Bundle, len(s.Maybe))})
	}
	return append(out, pair{"permits not signed yet", strconv.Itoa(s.Unsigned)}, pair{"sealed for custodians", yes[s.Copies]}, pair{"zeroized", yes[s.Zeroized]},
		pair{"working key", map[bool]string{true: "absent", false: "there"}[s.Locked]}, pair{"next", s.next()})
}
