/**
 * The classes that the key providers have in common: configuration from Hadoop, owned handles,
 * counters. Internal.
 */
package org.emrkeys.provider;
