"""An application for spark-submit: writes rows to a folder, reads them, prints their sum."""

import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

spark = SparkSession.builder.getOrCreate()
spark.range(0, 1000, 1, 4).write.csv(sys.argv[1])
print("sum", spark.read.schema("id long").csv(sys.argv[1]).agg(f.sum("id")).first()[0])
spark.stop()
