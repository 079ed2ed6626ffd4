package org.emrkeys.spark;

import java.io.Serializable;
import java.util.Collection;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.util.LongAccumulator;
import org.emrkeys.provider.ObjectResult;

/**
 * Counts of a job as Spark's accumulators, which Spark's web pages and event logs show while it runs. Each object
 * counts once, however often its task is attempted: Spark adds those of one attempt.
 */
final class JobMetrics implements Serializable {
  private static final long serialVersionUID = 1L;

  private final String done;
  private final LongAccumulator objects;
  private final LongAccumulator changed;
  private final LongAccumulator failed;
  private final LongAccumulator bytes;

  /** Of a job whose outcome for an object that it changed is {@code done}. */
  JobMetrics(JavaSparkContext context, String done) {
    this.done = done;
    objects = context.sc().longAccumulator("emrkeys objects");
    changed = context.sc().longAccumulator("emrkeys " + done);
    failed = context.sc().longAccumulator("emrkeys failed");
    bytes = context.sc().longAccumulator("emrkeys bytes");
  }

  void add(Collection<ObjectResult> results) {
    objects.add(results.size());
    for (ObjectResult result : results) {
      bytes.add(result.bytes());
      if (result.outcome().equals(done)) {
        changed.add(1);
      } else if (result.outcome().equals(ObjectsJob.FAILED)) {
        failed.add(1);
      }
    }
  }
}
