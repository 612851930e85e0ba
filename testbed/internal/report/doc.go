// Package report tells what a run did: results.json for programs, report.html for people, a table for the terminal.
//
// The testbed fills a Run while the run goes on and calls
//
//	report.Prepare(dir)    // before anything else: can the folder be written at all?
//	run.Write(dir)         // at the end: results.json and report.html, each whole or not at all
//	report.Table(w, &run.Results)
//
// A sweep's trials, gathered in a Sweep, become sweep.html, sweep.csv, sweep.json (Sweep.Write) and tables for a document
// (Sweep.Markdown), the paper's published tables beside ours.
//
// All of them compute from what they are given alone. Under virtual time no wall-clock value is written, so that equal runs give
// equal bytes.
package report
