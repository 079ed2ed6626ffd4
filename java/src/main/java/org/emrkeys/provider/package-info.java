/**
 * The classes that the key providers have in common: configuration, from Hadoop or as it is,
 * owned handles, counters. Internal.
 */
package org.emrkeys.provider;
