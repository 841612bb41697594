/**
 * The clock of rates and passes: wall time, or with `--clock cpu` the CPU time of the whole process, threads included.
 *
 * On one CPU that it has to itself a process that never waits for the disk shows the same on both. On a machine that others
 * use too, CPU time still tells engines apart; rows that wait for a sync mean nothing then.
 */

/** Milliseconds since some moment. */
export const milliseconds: () => number =
  process.env['BENCH_CLOCK'] === 'cpu' ? cpuMilliseconds : () => performance.now()

function cpuMilliseconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
