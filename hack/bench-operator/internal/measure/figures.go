package measure

// P50 is the median latency of a scenario, in milliseconds.
func P50(scenario string) Figure { return quantile(scenario, 0.5) }

// P99 is the latency that one in a hundred exceeds, in milliseconds.
func P99(scenario string) Figure { return quantile(scenario, 0.99) }

// Slowest is the longest latency of a scenario, in milliseconds.
func Slowest(scenario string) Figure { return quantile(scenario, 1) }

func quantile(scenario string, share float64) Figure {
	return func(t Turn) float64 { return t[scenario].Quantile(share).Seconds() * 1000 }
}

// Seconds is how long a scenario took.
func Seconds(scenario string) Figure {
	return func(t Turn) float64 { return t[scenario].Total.Seconds() }
}

// RequestsEach is how many requests an EchoCluster cost in a scenario.
func RequestsEach(scenario string) Figure {
	return func(t Turn) float64 {
		return float64(t[scenario].Requests.Total()) / float64(max(1, t[scenario].Count))
	}
}

// AllRequests is how many requests a scenario cost.
func AllRequests(scenario string) Figure {
	return func(t Turn) float64 { return float64(t[scenario].Requests.Total()) }
}

// AllWatches is how many watches were begun in a scenario.
func AllWatches(scenario string) Figure {
	return func(t Turn) float64 { return float64(t[scenario].Requests.Watches()) }
}

// AllWrites is how many writes a scenario cost.
func AllWrites(scenario string) Figure {
	return func(t Turn) float64 { return float64(t[scenario].Requests.Writes()) }
}

// CPU is the processor time of a scenario, in seconds.
func CPU(scenario string) Figure {
	return func(t Turn) float64 { return t[scenario].CPU.Seconds() }
}

// AllCPU is the processor time of all scenarios, in seconds.
func AllCPU(t Turn) float64 {
	sum := 0.0
	for _, result := range t {
		sum += result.CPU.Seconds()
	}
	return sum
}

// Others is the percentage of the processors that other programs took, as a mean of the scenarios in which latencies are measured.
func Others(t Turn) float64 {
	scenarios := []string{Created, Changed, ChangedAgain, ChangedAlone, Repaired, Repaired16, Deleted}
	sum := 0.0
	for _, scenario := range scenarios {
		sum += t[scenario].Others
	}
	return sum * 100 / float64(len(scenarios))
}

// RSS is the resident memory at the end of a scenario, in MB.
func RSS(scenario string) Figure {
	return func(t Turn) float64 { return float64(t[scenario].RSS) / 1e6 }
}

// Peak is the most resident memory until the end of a scenario, in MB.
func Peak(scenario string) Figure {
	return func(t Turn) float64 { return float64(t[scenario].Peak) / 1e6 }
}
