import com.lmax.disruptor.BatchEventProcessor;
import com.lmax.disruptor.BusySpinWaitStrategy;
import com.lmax.disruptor.EventHandler;
import com.lmax.disruptor.RingBuffer;
import com.lmax.disruptor.Sequence;
import com.lmax.disruptor.SequenceBarrier;
import java.util.Arrays;

/**
 * LMAX Disruptor, one producer and one consumer that spins, with events of eight longs. Core affinity is set from
 * outside (two cores, two threads that spin); the two passes before the measured one let the compiler finish.
 */
public final class DisruptorBenchmark {
  static final int CAPACITY = 1024;

  static final class Descriptor {
    long a, b, c, d, e, f, g, h;

    void fill(long number) {
      a = number;
      b = number + 1;
      c = number + 2;
      d = number + 3;
      e = number + 4;
      f = number + 5;
      g = number + 6;
      h = number + 7;
    }

    long sum() {
      return a + b + c + d + e + f + g + h;
    }
  }

  static final class Summing implements EventHandler<Descriptor> {
    final long count;
    long seen;
    long total;
    volatile boolean done;

    Summing(long count) {
      this.count = count;
    }

    @Override
    public void onEvent(Descriptor descriptor, long sequence, boolean endOfBatch) {
      total += descriptor.sum();
      if (++seen == count) done = true;
    }
  }

  static RingBuffer<Descriptor> ring() {
    return RingBuffer.createSingleProducer(Descriptor::new, CAPACITY, new BusySpinWaitStrategy());
  }

  static double stream(int batch, long count) throws InterruptedException {
    RingBuffer<Descriptor> ring = ring();
    Summing summing = new Summing(count);
    BatchEventProcessor<Descriptor> processor = new BatchEventProcessor<>(ring, ring.newBarrier(), summing);
    ring.addGatingSequences(processor.getSequence());
    Thread consumer = new Thread(processor);
    consumer.start();
    while (!processor.isRunning()) Thread.onSpinWait();
    long start = System.nanoTime();
    if (batch == 1) {
      for (long number = 0; number < count; number++) {
        long sequence = ring.next();
        ring.get(sequence).fill(number);
        ring.publish(sequence);
      }
    } else {
      for (long number = 0; number < count; number += batch) {
        long high = ring.next(batch);
        long low = high - batch + 1;
        for (int index = 0; index < batch; index++) ring.get(low + index).fill(number + index);
        ring.publish(low, high);
      }
    }
    while (!summing.done) Thread.onSpinWait();
    double seconds = (System.nanoTime() - start) / 1e9;
    processor.halt();
    consumer.join();
    if (summing.total != count * (count - 1) / 2 * 8 + count * 28) throw new IllegalStateException("wrong sum");
    return count / seconds / 1e6;
  }

  static long[] ping(int count) throws Exception {
    RingBuffer<Descriptor> there = ring();
    RingBuffer<Descriptor> back = ring();
    BatchEventProcessor<Descriptor> answerer =
        new BatchEventProcessor<>(
            there,
            there.newBarrier(),
            (descriptor, sequence, endOfBatch) -> {
              long next = back.next();
              back.get(next).fill(descriptor.a);
              back.publish(next);
            });
    there.addGatingSequences(answerer.getSequence());
    Sequence answered = new Sequence(-1);
    back.addGatingSequences(answered);
    SequenceBarrier barrier = back.newBarrier();
    Thread thread = new Thread(answerer);
    thread.start();
    long[] trips = new long[count];
    for (int number = 0; number < count; number++) {
      long start = System.nanoTime();
      long next = there.next();
      there.get(next).fill(number);
      there.publish(next);
      barrier.waitFor(number);
      if (back.get(number).a != number) throw new IllegalStateException("wrong answer");
      answered.set(number);
      trips[number] = System.nanoTime() - start;
    }
    answerer.halt();
    thread.join();
    Arrays.sort(trips);
    return trips;
  }

  public static void main(String[] arguments) throws Exception {
    long count = Long.parseLong(arguments[0]);
    int pings = Integer.parseInt(arguments[1]);
    for (int batch : new int[] {1, 32}) {
      stream(batch, count);
      stream(batch, count);
      System.out.printf("stream\tLMAX Disruptor\tthreads\t%d\t%f%n", batch, stream(batch, count));
    }
    ping(pings);
    long[] trips = ping(pings);
    System.out.printf(
        "ping\tLMAX Disruptor\tthreads\t%d\t%d%n", trips[pings / 2], trips[(int) (pings * 99L / 100)]);
  }
}
