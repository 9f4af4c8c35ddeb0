// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU time in /proc, which Linux fixes at a hundredth of a second for programs.
const tick = 10_000 // microseconds

// cpu is CPU time in microseconds.
type cpu struct{ core, serve, self, all float64 }

func readCPU(core, serve int) cpu {
	return cpu{core: processCPU(core), serve: processCPU(serve), self: processCPU(os.Getpid()), all: machineCPU()}
}

func (c cpu) less(b cpu) cpu {
	return cpu{c.core - b.core, c.serve - b.serve, c.self - b.self, c.all - b.all}
}

// others is how many cores other processes used.
func (c cpu) others(d time.Duration) float64 {
	return max(0, (c.all-c.core-c.serve-c.self)/float64(d.Microseconds()))
}

// processCPU gives user and system time of a process; 0 for process 0. Threads' schedstat is finer than stat's ticks.
func processCPU(pid int) float64 {
	if pid == 0 {
		return 0
	}
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return 0
	}
	var ns float64
	for _, t := range tasks {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + t.Name() + "/schedstat")
		if err != nil {
			continue
		}
		first, _, _ := strings.Cut(string(b), " ")
		n, _ := strconv.ParseFloat(first, 64)
		ns += n
	}
	return ns / 1000
}

// machineCPU gives the CPU time of everything on the machine but idling.
func machineCPU() float64 {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	var sum float64
	for i, f := range strings.Fields(string(line))[1:] {
		if n, err := strconv.ParseFloat(f, 64); err == nil && i != 3 && i != 4 && i < 8 { // not idle, iowait, guest
			sum += n
		}
	}
	return sum * tick
}

// memory gives the resident size of a process in MiB.
func memory(pid int) float64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return n / 1024
		}
	}
	return 0
}
