// SPDX-License-Identifier: Apache-2.0

package apiv1

import (
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/testimony"
	"strongroom/internal/pure/verdict"
)

// ScreeningSource says who tells how risky it is to pay somebody.
type ScreeningSource struct {
	ID         string       `json:"id"`
	Signers    []FeedSigner `json:"signers"`
	MinSigners uint32       `json:"minSigners" doc:"whose fresh verdicts on a subject count as one"`
	MaxAge     int64        `json:"maxAge" doc:"seconds that a verdict counts at most"`
}

// VerdictsIn hands in signed verdicts.
type VerdictsIn struct {
	Verdicts []custody.HexBytes `json:"verdicts" doc:"each a canonical signed verdict in hex, as 'strongroom screening verdict' writes it; at most 256"`
}

// Screening tells what is known of sources and verdicts.
type Screening struct {
	Sources  []ScreeningView `json:"sources"`
	Verdicts []VerdictView   `json:"verdicts" doc:"latest of each signer on each subject, fresh or not, the last one taken first; 500 at most"`
	Says     []Screened      `json:"says,omitempty" doc:"what a decision would be told of the subject that was asked for, by source"`
	Time     string          `json:"time"`
}

// ScreeningView is what is known of a source.
type ScreeningView struct {
	ID     string `json:"id"`
	Kept   uint64 `json:"kept" doc:"verdicts"`
	Newest int64  `json:"newest,omitempty" doc:"time of what it said last, Unix seconds; absent: nothing yet"`
	MaxAge int64  `json:"maxAge"`
	Silent bool   `json:"silent" doc:"for so long that none of its verdicts counts"`
}

// VerdictView is the latest verdict of a signer on a subject.
type VerdictView struct {
	Source     string           `json:"source"`
	Signer     string           `json:"signer"`
	Chain      custody.ChainID  `json:"chain,omitempty"`
	Address    string           `json:"address,omitempty"`
	Request    custody.HexBytes `json:"request,omitempty"`
	Risk       uint32           `json:"risk" doc:"0 harmless, 100 the worst"`
	Categories []string         `json:"categories,omitempty"`
	Exposure   verdict.Exposure `json:"exposure" doc:"none, indirect or direct"`
	Status     verdict.Status   `json:"status" doc:"accept, wait, alert, reject or freeze"`
	AsOf       int64            `json:"asOf" doc:"Unix seconds"`
	Expires    int64            `json:"expires" doc:"Unix seconds; the source's maxAge may end it before"`
	Evidence   custody.HexBytes `json:"evidence,omitempty" doc:"hash of what the source keeps"`
	Entry      uint64           `json:"entry"`
	Fresh      bool             `json:"fresh"`
}

// VerdictViewOf gives the JSON form.
func VerdictViewOf(v verdict.Verdict, signer string, entry uint64, fresh bool) VerdictView {
	return VerdictView{v.Source, signer, v.Subject.Chain, v.Subject.Address, v.Subject.Request, v.Risk, v.Categories, v.Exposure, v.Status, v.AsOf, v.Expires, v.Evidence, entry, fresh}
}

// Screened is what a decision is told of one subject by one source.
type Screened struct {
	Source     string           `json:"source"`
	Address    string           `json:"address,omitempty" doc:"absent: the request itself"`
	Risk       uint32           `json:"risk"`
	Categories []string         `json:"categories,omitempty"`
	Exposure   verdict.Exposure `json:"exposure,omitempty"`
	Status     verdict.Status   `json:"status,omitempty"`
	AsOf       int64            `json:"asOf,omitempty" doc:"of the oldest verdict used, Unix seconds"`
	Lack       policy.Lack      `json:"lack,omitempty" doc:"why there is no verdict: none, stale or unknown"`
}

// ScreenedOf gives the JSON form.
func ScreenedOf(list []policy.Screened) (out []Screened) {
	for _, x := range list {
		out = append(out, Screened{x.Source, x.Address, x.Risk, x.Categories, x.Exposure, x.Status, x.AsOf, x.Lack})
	}
	return out
}

func screeningSourcesOf(list []policy.ScreeningSource) (out []ScreeningSource) {
	for _, s := range list {
		out = append(out, ScreeningSource{s.ID, feedSignersOf(s.Signers), s.MinSigners, s.MaxAge})
	}
	return out
}

func screeningSourcesFrom(list []ScreeningSource) (out []policy.ScreeningSource) {
	for _, s := range list {
		out = append(out, policy.ScreeningSource{ID: s.ID, Signers: feedSignersFrom(s.Signers), MinSigners: s.MinSigners, MaxAge: s.MaxAge})
	}
	return out
}

func feedSignersOf(list []testimony.Signer) []FeedSigner {
	out := []FeedSigner{}
	for _, k := range list {
		out = append(out, FeedSigner{k.ID, k.Pub})
	}
	return out
}

func feedSignersFrom(list []FeedSigner) (out []testimony.Signer) {
	for _, k := range list {
		out = append(out, testimony.Signer{ID: k.ID, Pub: k.Pub})
	}
	return out
}
