// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/hex"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
)

// Bundles to offline domains and their results pass through here sealed: who serves reads nothing of them.

func (s *Server) listOffline(c *call) error {
	m, err := ask[message.OfflineDomains](c.ctx(), s.cfg.Core, message.MethodOfflineList, message.Empty{})
	if err != nil {
		return err
	}
	out := apiv1.OfflineDomainList{Domains: []apiv1.OfflineDomain{}}
	for _, d := range m.Domains {
		v := apiv1.OfflineDomain{ID: d.ID.String(), Name: d.Name, Size: d.Size, Knows: d.Knows, Number: d.Number, Result: d.Result, Open: d.Open, Busy: d.Busy,
			Zeroized: d.Zeroized, Gap: d.Gap, Wallets: []apiv1.AwayWallet{}}
		for _, w := range d.Wallets {
			v.Wallets = append(v.Wallets, apiv1.AwayWallet(w))
		}
		out.Domains = append(out.Domains, v)
	}
	return c.reply(out)
}

func (s *Server) beginBundle(c *call) error {
	var in apiv1.OfflineBundleIn
	if err := c.read(&in); err != nil {
		return err
	}
	b, err := ask[message.OfflineBundle](c.ctx(), s.cfg.Core, message.MethodOfflineExport, message.OfflineExport{Domain: in.Domain, Full: in.Full})
	if err != nil {
		return err
	}
	return c.reply(apiv1.OfflineBundle{Run: hex.EncodeToString(b.Run), Domain: b.Domain.String(), Name: b.Name, Number: b.Number, From: b.From, Size: b.Size,
		NotAfter: b.NotAfter, Permits: b.Permits, Copies: b.Copies})
}

// runOf reads the name of a bundle or a result.
func runOf(text string) ([]byte, error) {
	run, err := hex.DecodeString(text)
	if err != nil || len(run) != 16 {
		return nil, problem.New(problem.Malformed, "a run is named by 32 hex digits")
	}
	return run, nil
}

func (s *Server) bundlePart(c *call) error {
	run, err := runOf(c.id)
	if err != nil {
		return err
	}
	offset, err := c.number("offset", 0, 0, 1<<53)
	if err != nil {
		return err
	}
	p, err := ask[message.OfflinePart](c.ctx(), s.cfg.Core, message.MethodOfflineNext, message.OfflineNext{Run: run, Offset: offset})
	if err != nil {
		return err
	}
	return c.raw(p.Bytes)
}

func (s *Server) takeResult(c *call) error {
	var in apiv1.OfflineResultIn
	if err := c.read(&in); err != nil {
		return err
	}
	run, err := runOf(in.Run)
	if err != nil {
		return err
	}
	if len(in.Bytes) > apiv1.MaxResultPart {
		return problem.New(problem.TooLarge, "a part of %d bytes, more than %d", len(in.Bytes), apiv1.MaxResultPart)
	}
	m, err := ask[message.OfflineImported](c.ctx(), s.cfg.Core, message.MethodOfflineImport, message.OfflineImport{Run: run, Offset: in.Offset, Bytes: in.Bytes, Last: in.Last})
	if err != nil {
		return err
	}
	out := apiv1.OfflineResult{Signed: []string{}, MovedIn: append([]custody.WalletID{}, m.MovedIn...), MovedOut: append([]custody.WalletID{}, m.MovedOut...),
		Refused: []apiv1.OfflineRefusal{}, Name: m.Name, Entry: m.Entry, Size: m.Size}
	if m.Entry > 0 {
		out.Domain = m.Domain.String()
	}
	for _, id := range m.Signed {
		out.Signed = append(out.Signed, id.String())
	}
	for _, r := range m.Refused {
		out.Refused = append(out.Refused, apiv1.OfflineRefusal(r))
	}
	for _, l := range m.Lost {
		out.Lost = append(out.Lost, apiv1.OfflineLost(l))
	}
	if b := m.SetBack; b != nil {
		x := apiv1.OfflineSetBack(*b)
		out.SetBack = &x
	}
	return c.reply(out)
}
