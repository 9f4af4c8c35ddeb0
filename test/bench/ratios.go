// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"

	"strongroom/internal/core/corebench"
)

// Rows that ratios name.
const (
	bareRow  = "bare secp256k1 sign+verify"
	bareP256 = "bare p256 sign+verify"

	bareEd25519 = "bare ed25519 sign+verify"
	emptyHTTPS  = "empty HTTPS+JSON call, 32 callers"
	emptyDoor   = "empty door call, 32 callers"
	durable     = "durable log, 32 callers"
	inMemory    = "log in memory, 32 callers"
	again       = " (A/A)"
)

func doorRow(callers int) string {
	return "governed through the door, " + strconv.Itoa(callers) + " callers"
}

func restRow(callers int) string {
	return "governed through REST, " + strconv.Itoa(callers) + " callers"
}

func walletRow(wallets int) string { return strconv.Itoa(wallets) + " wallets, Zipf(1.0), 8 callers" }

// ratio is a figure of one row over a figure of another, formed within rounds.
type ratio struct {
	Name   string `json:"name"`
	Spread spread `json:"ratio"`
	Aim    *aim   `json:"aim,omitempty"`
}

// aim is what a ratio should be.
type aim struct {
	Bound float64 `json:"bound"`
	Least bool    `json:"least"` // the ratio should be at least Bound; otherwise at most
	Met   bool    `json:"met"`   // by the median
	Doubt bool    `json:"noisy"` // other load was too high for a verdict on a rate or a latency
}

// String gives one line of the report.
func (x ratio) String() string {
	s := fmt.Sprintf("%s: %.2f [%.2f-%.2f]", x.Name, x.Spread.Mid, x.Spread.Least, x.Spread.Most)
	if x.Aim != nil {
		s += "; " + x.Aim.String()
	}
	return s
}

// String gives the aim and whether it is met.
func (a aim) String() string {
	bound, verdict, doubt := "", "missed", ""
	if !a.Least {
		bound = " at most"
	}
	if a.Met {
		verdict = "met"
	}
	if a.Doubt {
		doubt = " (noisy: no verdict)"
	}
	return fmt.Sprintf("aim %.2f%s: %s%s", a.Bound, bound, verdict, doubt)
}

// ratioList collects the ratios whose rows were measured.
type ratioList struct {
	r    *report
	list []ratio
}

// add adds a ratio, if it can be formed.
func (l *ratioList) add(name, a string, fa measureOf, b string, fb measureOf, want *aim) {
	x, ok := l.r.within(a, fa, b, fb)
	if !ok {
		return
	}
	if want != nil {
		want.Met = want.Least && x.Mid >= want.Bound || !want.Least && x.Mid <= want.Bound
		want.Doubt = want.Doubt && max(l.r.column(a, others).Mid, l.r.column(b, others).Mid) > noisy
	}
	l.list = append(l.list, ratio{name + ", " + a + " / " + b, x, want})
}

// faster is the aim of a rate, shorter that of a latency. Other load beside one of the two rows spoils both.
func faster(bound float64) *aim { return &aim{Bound: bound, Least: true, Doubt: true} }

func shorter(bound float64) *aim { return &aim{Bound: bound, Doubt: true} }

// ratios forms all ratios of the report.
func (r *report) ratios() []ratio {
	l := &ratioList{r: r}
	l.add("CPU", corebench.KeyOpen, clientCPU, bareRow, clientCPU, &aim{Bound: 1.1})
	l.add("CPU", corebench.AccountOpen, clientCPU, bareRow, clientCPU, nil)
	l.add("CPU", corebench.Cold, clientCPU, bareRow, clientCPU, nil)
	for _, curve := range []string{"secp256k1", "p256", "ed25519"} {
		l.add("rate", corebench.TokenRow(curve), rate, corebench.BareTokenRow(curve), rate, nil)
		l.add("CPU", corebench.TokenRow(curve), clientCPU, corebench.BareTokenRow(curve), clientCPU, nil)
	}
	l.add("rate", corebench.TokenRow("secp256k1"), rate, corebench.KeyOpen, rate, nil)
	l.add("CPU", corebench.TokenRow("secp256k1"), clientCPU, corebench.KeyOpen, clientCPU, nil)
	l.add("rate", corebench.TokenRow("p256"), rate, bareP256, rate, nil)
	l.add("rate", corebench.TokenRow("ed25519"), rate, bareEd25519, rate, nil)
	for _, n := range r.Config.Callers {
		var want *aim
		if n == 256 {
			want = faster(0.5)
		}
		l.add("rate", doorRow(n), rate, bareRow, rate, want)
		if want = nil; n >= 32 {
			want = &aim{Bound: 2.2}
		}
		l.add("core CPU", doorRow(n), coreCPU, bareRow, clientCPU, want) // the bare operation runs in this program
	}
	for _, n := range r.Config.Callers {
		var want *aim
		if n == 32 {
			want = faster(0.3)
		}
		l.add("rate", restRow(n), rate, bareRow, rate, want)
		if want = nil; n >= 32 {
			want = &aim{Bound: 2.2}
		}
		l.add("core CPU", restRow(n), coreCPU, bareRow, clientCPU, want)
		l.add("CPU of core, serve and client", restRow(n), allCPU, bareRow, clientCPU, nil)
	}
	l.add("serve CPU", restRow(32), serveCPU, emptyHTTPS, serveCPU, nil)
	l.add("rate", openBaoRow, rate, bareP256, rate, nil)
	l.add("rate", restRow(32), rate, openBaoRow, rate, nil)
	if w := r.Config.Wallets; len(w) > 1 {
		few, many := walletRow(w[0]), walletRow(w[len(w)-1])
		l.add("rate", many, rate, few, rate, faster(1/1.2))
		l.add("p99", many, p99, few, p99, shorter(1.2))
	}
	l.add("rate", durable, rate, inMemory, rate, faster(0.7))
	for _, kind := range anchorKinds()[1:] {
		for _, n := range anchorCallers() {
			l.add("rate", anchorRow(kind, n), rate, anchorRow(anchorFile, n), rate, nil)
			l.add("p50", anchorRow(kind, n), p50, anchorRow(anchorFile, n), p50, nil)
			l.add("core CPU", anchorRow(kind, n), coreCPU, anchorRow(anchorFile, n), coreCPU, nil)
		}
	}
	l.grep11Ratios()
	aa := doorRow(32) + again
	l.add("control: rate", aa, rate, doorRow(32), rate, nil)
	l.add("control: core CPU", aa, coreCPU, doorRow(32), coreCPU, nil)
	l.decisions()
	return l.list
}

// startRow names a start on a log of so many entries.
func startRow(entries int, how string) string {
	return fmt.Sprintf("on a log of %d entries, after %s", entries, how)
}

// startAim says how a start on the largest log stands to its aim.
func startAim(row string, seconds float64) string {
	const most = 10
	if !strings.HasPrefix(row, "on a log of 10000000 entries") {
		return ""
	}
	return "; " + aim{Bound: most, Met: seconds <= most}.String()
}
