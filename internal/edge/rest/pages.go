// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"embed"
	"slices"

	"strongroom/internal/pure/problem"
)

//go:generate go test -run TestProblemPages -update .

// pages are the pages of docs/problems, KIND.md. An embedded file lies below its package, so these are copies; a test compares them.
//
//go:embed gen/problems/*.md
var pages embed.FS

// problemPage is GET /docs/problems/{kind}, where the type of a problem leads.
func (s *Server) problemPage(c *call) error {
	if !slices.Contains(problem.Kinds(), problem.Kind(c.id)) {
		return problem.New(problem.NotFound, "no kind of problem is called %q", c.id)
	}
	b, err := pages.ReadFile("gen/problems/" + c.id + ".md")
	if err != nil {
		return err
	}
	return c.raw(b)
}
