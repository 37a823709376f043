"""Speed, measured side by side: both programs in one run on one machine, medians and ratios, never in a timed test."""
