// SPDX-License-Identifier: Apache-2.0

package words

import (
	"fmt"
	"slices"
	"strings"

	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/verdict"
)

// quotesOf says which sources told prices, and of what if it is one.
func quotesOf(b *entry.Quotes) string {
	if len(b.Quotes) == 1 {
		q := b.Quotes[0]
		return fmt.Sprintf("%s of source %s tells what %s is worth in %s", q.Signer, q.Said.Source, q.Said.Asset, q.Said.Currency)
	}
	var sources []string
	for _, q := range b.Quotes {
		sources = append(sources, q.Said.Source)
	}
	return fmt.Sprintf("%d prices are told by %s", len(b.Quotes), each(sources))
}

// verdictsOf says which sources gave verdicts, and how bad the worst is.
func verdictsOf(b *entry.Verdicts) string {
	var sources []string
	var all []verdict.Verdict
	for _, v := range b.Verdicts {
		sources, all = append(sources, v.Said.Source), append(all, v.Said)
	}
	if len(all) == 1 {
		v := all[0]
		return fmt.Sprintf("%s of source %s gives a verdict on %s: risk %d of 100, %s", b.Verdicts[0].Signer, v.Source, v.Subject, v.Risk, v.Status)
	}
	s := fmt.Sprintf("%d verdicts of screening by %s", len(b.Verdicts), each(sources))
	if len(all) > 0 {
		w := verdict.Worst(all)
		s += fmt.Sprintf("; the highest risk is %d, the worst status %s", w.Risk, w.Status)
	}
	return s
}

func each(names []string) string {
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// Screening says what sources of screening said of whom a request gives something, the worst first: the domain's word.
func Screening(list []request.ScreeningEffect) (out []string) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b request.ScreeningEffect) int {
		if (a.Lack == "") != (b.Lack == "") {
			return map[bool]int{true: -1, false: 1}[a.Lack != ""]
		}
		return int(b.Risk) - int(a.Risk)
	})
	for _, x := range list {
		who := x.Address
		if who == "" {
			who = "the request as a whole"
		}
		if x.Lack != "" {
			out = append(out, Plain(fmt.Sprintf("%s: NO VERDICT of %s (%s)", who, x.Source, x.Lack)))
			continue
		}
		s := fmt.Sprintf("%s: risk %d of 100, %s", who, x.Risk, x.Status)
		if len(x.Categories) > 0 {
			s += fmt.Sprintf(", %s exposure to %s", x.Exposure, strings.Join(x.Categories, ", "))
		}
		out = append(out, Plain(s+", says "+x.Source))
	}
	return out
}
